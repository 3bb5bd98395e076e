"""The git connection against a real server with a password."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from feature_ops.git.errors import NoRepositoryError, UnreachableError, WrongCredentialsError
from feature_ops.git.hook import GitRepositoryHook
from feature_ops.git.repository import Author

AUTHOR = Author("feature-ops", "feature-ops@localhost")


@pytest.fixture
def connect(git_repository: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the git connection, with what a test wants to differ."""

    def _connect(**changes: str) -> None:
        value = {
            "conn_type": "git",
            "host": git_repository.url,
            "login": git_repository.login,
            "password": git_repository.password,
        }
        monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({**value, **changes}))

    _connect()
    return _connect


def publish(folder: Path, path: str) -> str | None:
    with GitRepositoryHook().repository(folder) as repository:
        return repository.publish(lambda: repository.commit({path: path.encode()}, path, AUTHOR))


@pytest.mark.usefixtures("connect")
def test_commits_reach_the_server_and_come_back(tmp_path: Path) -> None:
    assert publish(tmp_path / "a", "data/1")
    commit = publish(tmp_path / "b", "data/2")
    with GitRepositoryHook().repository(tmp_path / "c") as repository:
        assert repository.fetch() == commit
        assert repository.names("data") == ["1", "2"]
        assert repository.read(["data/1", "data/2"]) == {"data/1": b"data/1", "data/2": b"data/2"}


def test_d10_a_wrong_password_names_the_connection_and_no_secret(connect: Any, tmp_path: Path) -> None:
    connect(password="wrong-s3cret")
    with pytest.raises(WrongCredentialsError, match="check the connection git_default") as caught:
        publish(tmp_path / "a", "data/1")
    assert "wrong-s3cret" not in str(caught.value)


def test_a_missing_repository_is_told_apart(connect: Any, git_repository: Any, tmp_path: Path) -> None:
    connect(host=git_repository.url.replace(".git", "-none.git"))
    with pytest.raises(NoRepositoryError):
        publish(tmp_path / "a", "data/1")


def test_a_server_that_is_down_is_worth_another_try(connect: Any, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        connect(host=f"http://127.0.0.1:{unused.getsockname()[1]}/jukebox.git")
        with pytest.raises(UnreachableError):
            publish(tmp_path / "a", "data/1")


@pytest.mark.usefixtures("connect")
def test_d10_no_secret_in_arguments_or_files(
    git_repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper on PATH notes the arguments of git, and of the children git starts for itself."""
    noted = tmp_path / "arguments"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = next(p for d in os.get_exec_path() if os.access(p := f"{d}/git", os.X_OK))
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {noted}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    publish(tmp_path / "a", "data/1")
    seen = noted.read_text()
    assert "push" in seen
    assert git_repository.password not in seen
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if git_repository.password.encode() in path.read_bytes()]


@pytest.mark.usefixtures("connect")
def test_d9_writers_at_once_all_succeed_in_a_linear_history(tmp_path: Path) -> None:
    """Six of them, all with the empty repository before their eyes at first."""
    barrier, errors = threading.Barrier(6), []

    def write(number: int) -> None:
        try:
            with GitRepositoryHook().repository(tmp_path / str(number)) as repository:
                first: list[int] = []

                def add_missing() -> None:
                    if not first:
                        first.append(1)
                        barrier.wait(60)
                    repository.commit({f"data/{number}": b"x"}, f"number {number}", AUTHOR)

                repository.publish(add_missing, attempts=40)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    with GitRepositoryHook().repository(tmp_path / "reader") as repository:
        repository.fetch()
        assert repository.names("data") == [str(number) for number in range(6)]
        repository._run("fetch", "--quiet", "--unshallow", "origin", "main")
        history = repository._run("log", "--format=%P", str(repository.head)).decode().splitlines()
    assert len(history) == 6
    assert all(len(parents.split()) <= 1 for parents in history)

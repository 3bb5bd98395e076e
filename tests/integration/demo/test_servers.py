"""The servers answer, ask for a password and keep what they were given."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
from sqlalchemy.engine import make_url

from demo.servers import Servers


def git(*arguments: str, cwd: Path, password: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@localhost",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@localhost",
    }
    if password:
        helper = "!f() { echo username=jukebox; echo password=$PASSWORD; }; f"
        environment |= {
            "PASSWORD": password,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": helper,
        }
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def commit(work: Path, text: str) -> str:
    (work / "file.txt").write_text(text)
    for arguments in (["add", "."], ["commit", "-qm", text.split()[0]]):
        done = git(*arguments, cwd=work)
        assert done.returncode == 0, done.stderr
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def test_git_serves_clones_and_pushes_to_who_has_the_password(
    servers: Servers, git_repository: object, tmp_path: Path
) -> None:
    url, password = git_repository.url, git_repository.password  # type: ignore[attr-defined]
    cloned = git("clone", "-q", url, "work", cwd=tmp_path, password=password)
    assert cloned.returncode == 0, cloned.stderr
    work = tmp_path / "work"
    sha = commit(work, "first " + secrets.token_hex(2_000_000))  # larger than one buffer of git's HTTP client
    pushed = git("push", "-q", "origin", "HEAD:main", cwd=work, password=password)
    assert pushed.returncode == 0, pushed.stderr
    assert sha in git("ls-remote", url, "refs/heads/main", cwd=tmp_path, password=password).stdout
    assert password not in (work / ".git" / "config").read_text()

    name = url.rsplit("/", 1)[1].removesuffix(".git")
    with urlopen(servers.git.commit_url(name).format(commit=sha)) as page:
        assert "first" in page.read().decode()


@pytest.mark.parametrize("password", ["wrong", None])
def test_git_refuses_who_has_not_the_password(
    git_repository: object, tmp_path: Path, password: str | None
) -> None:
    url = git_repository.url  # type: ignore[attr-defined]
    assert git("ls-remote", url, cwd=tmp_path, password=password).returncode != 0
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", "work", cwd=tmp_path)
    commit(work, "first")
    pushed = git("push", url, "main", cwd=work, password=password)
    assert pushed.returncode != 0
    right = git("ls-remote", url, cwd=tmp_path, password=git_repository.password)  # type: ignore[attr-defined]
    assert (right.returncode, right.stdout) == (0, "")


def test_git_refuses_to_rewrite_history(git_repository: object, tmp_path: Path) -> None:
    url, password = git_repository.url, git_repository.password  # type: ignore[attr-defined]
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", "work", cwd=tmp_path)
    commit(work, "first")
    commit(work, "second")
    assert git("push", url, "main", cwd=work, password=password).returncode == 0
    git("reset", "-q", "--hard", "HEAD~1", cwd=work)
    commit(work, "other")
    refused = git("push", "--force", url, "main", cwd=work, password=password)
    assert refused.returncode != 0
    assert "non-fast-forward" in refused.stderr


def test_git_files_cannot_be_fetched_by_name(servers: Servers, git_repository: object) -> None:
    from urllib.error import HTTPError

    with pytest.raises(HTTPError) as refused:
        urlopen(f"{git_repository.url}/config")  # type: ignore[attr-defined]
    assert refused.value.code == 404


def test_airflow_git_hook_clones_and_pushes(
    airflow_connections: None, git_repository: object, tmp_path: Path
) -> None:
    from airflow.providers.git.hooks.git import GitHook

    work = tmp_path / "work"
    git("init", "-q", "-b", "main", "work", cwd=tmp_path)
    sha = commit(work, "first")
    hook = GitHook("git_default")
    with hook.configure_hook_env():
        environment = {**os.environ, **hook.env, "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}
        subprocess.run(["git", "push", "-q", hook.repo_url, "main"], cwd=work, env=environment, check=True)
        subprocess.run(
            ["git", "clone", "-q", hook.repo_url, "again"], cwd=tmp_path, env=environment, check=True
        )
    assert git("rev-parse", "HEAD", cwd=tmp_path / "again").stdout.strip() == sha


def test_postgres_refuses_a_wrong_password(servers: Servers) -> None:
    url = make_url(servers.create_database("feast")).set(drivername="postgresql", password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.render_as_string(hide_password=False))


def test_valkey_refuses_who_has_no_password(servers: Servers) -> None:
    with socket.create_connection(("127.0.0.1", servers.valkey.port)) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


def test_object_store_refuses_a_wrong_secret(servers: Servers) -> None:
    from dataclasses import replace

    from feature_ops.object_store_failures import ObjectStoreRefusedError

    with pytest.raises(ObjectStoreRefusedError, match="SignatureDoesNotMatch"):
        replace(servers.object_store, secret_key="wrong").client.list_buckets()


def test_no_password_is_in_a_command_line(servers: Servers) -> None:
    passwords = [
        servers.git_password,
        servers.object_store.secret_key,
        servers.online_store.split("password=")[1],
    ]
    lines = [Path(f"/proc/{child.process.pid}/cmdline").read_text() for child in servers.processes.children]
    assert len(lines) == len(servers.processes.children) >= 4
    assert not [line for line in lines for password in passwords if password in line]

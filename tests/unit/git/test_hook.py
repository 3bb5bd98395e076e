"""The git connection's sign-in reaches git and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.command import Git
from feature_ops.git.hook import GitRepositoryHook

TOKEN = "t0p 's\"ecret%"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {
        "conn_type": "git",
        "host": "http://127.0.0.1:9/jukebox.git",
        "login": "jukebox",
        "password": TOKEN,
    }
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(value))


@pytest.mark.usefixtures("connection")
def test_d10_the_token_is_in_gits_environment_only(tmp_path: Path) -> None:
    before = dict(os.environ)
    with GitRepositoryHook().repository(tmp_path / "git") as repository:
        assert dict(os.environ) == before
        assert TOKEN in repository.remote.credentials.values()
        assert TOKEN not in repr(repository.remote)
        assert TOKEN not in (tmp_path / "git" / "config").read_text()


@pytest.mark.usefixtures("connection")
def test_git_gets_login_and_password_for_the_connections_server_only(tmp_path: Path) -> None:
    with GitRepositoryHook().remote() as remote:
        git = Git(tmp_path, remote.credentials)
        filled = git.run("credential", "fill", stdin=b"protocol=http\nhost=127.0.0.1:9\n\n").decode()
        assert f"username=jukebox\npassword={TOKEN}\n" in filled
        code, output, _ = git.attempt("credential", "fill", stdin=b"protocol=http\nhost=127.0.0.1:10\n\n")
        assert code != 0
        assert TOKEN not in output.decode()


@pytest.mark.usefixtures("connection")
def test_a_typed_repository_on_a_strangers_host_is_refused() -> None:
    with pytest.raises(BadInputError, match="is not on the server of the connection"):
        GitRepositoryHook(repo_url="http://127.0.0.1:10/jukebox.git")


def test_a_password_in_the_connections_address_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_GIT_DEFAULT",
        json.dumps({"conn_type": "git", "host": "https://ada:hunter2@git.example.com/jukebox.git"}),
    )
    with GitRepositoryHook().remote() as remote:
        assert remote.url == "https://git.example.com/jukebox.git"
        assert "hunter2" in remote.secrets


def test_a_connection_without_an_address_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git"}))
    with pytest.raises(BadInputError, match="git_default has no Repository URL"):
        GitRepositoryHook()


def test_the_passphrase_of_a_key_reaches_ssh_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh-keygen asks for it the way ssh does."""
    key, passphrase = tmp_path / "key", "pass 'phrase\"%"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(key)], check=True)
    extra = {"private_key": key.read_text(), "private_key_passphrase": passphrase}
    value = {"conn_type": "git", "host": "ssh://git@git.example.com/jukebox.git", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(value))
    before = dict(os.environ)
    with GitRepositoryHook().remote() as remote:
        assert dict(os.environ) == before
        assert passphrase in remote.secrets
        script = Path(remote.credentials["SSH_ASKPASS"])
        assert passphrase not in script.read_text()
        opened = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(key)],
            env=Git(tmp_path, remote.credentials).environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            start_new_session=True,
        )
        assert opened.stdout.split()[:2] == key.with_suffix(".pub").read_text().split()[:2]
    assert not script.exists()


def test_commits_are_opened_without_leaving_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"conn_type": "git", "host": "http://127.0.0.1:9/jukebox.git", "login": "ada", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(value))
    before = dict(os.environ)
    with GitRepositoryHook().commits(tmp_path / "git") as commits:
        assert dict(os.environ) == before
        assert TOKEN in commits.remote.credentials.values()
        files = [path for path in (tmp_path / "git").rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if TOKEN in path.read_text()]

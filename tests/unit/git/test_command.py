"""git runs in an environment of its own and its errors are told apart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from feature_ops.git.command import Git, git_error, scrub
from feature_ops.git.errors import GitError, NoRepositoryError, UnreachableError, WrongCredentialsError


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("fatal: Authentication failed for 'http://h/r.git/'", WrongCredentialsError),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", WrongCredentialsError),
        ("error: RPC failed; The requested URL returned error: 403", WrongCredentialsError),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", WrongCredentialsError),
        ("fatal: repository 'http://h/r.git/' not found", NoRepositoryError),
        ("fatal: '/x' does not appear to be a git repository", NoRepositoryError),
        ("fatal: unable to access 'http://h/': Could not resolve host: h", UnreachableError),
        ("fatal: unable to access 'http://h/': The requested URL returned error: 502", UnreachableError),
        ("fatal: the remote end hung up unexpectedly", UnreachableError),
        ("fatal: something new", GitError),
        ("", GitError),
    ],
)
def test_errors_are_told_apart_by_gits_words(output: str, kind: type[GitError]) -> None:
    assert type(git_error(output)) is kind


def test_d10_secrets_are_scrubbed_from_errors() -> None:
    text = scrub("http://ada:p%40ss@h/r p@ss p%40ss https://token@h/r", ("p@ss",))
    assert text == "http://***@h/r *** *** https://***@h/r"


def test_the_child_sees_nothing_of_the_parents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/certificates")
    seen = Git(tmp_path).run("-c", "alias.seen=!env", "seen").decode()
    assert "hidden" not in seen
    assert "/elsewhere" not in seen
    assert "GIT_SSL_CAINFO=/certificates" in seen


def test_a_users_git_configuration_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[user]\n\tname = Somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "repository").mkdir()
    listed = Git(tmp_path / "repository").run("config", "--list").decode()
    assert "Somebody" not in listed


def test_a_silent_server_is_left_after_the_timeout_with_all_of_gits_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="FEATURE_OPS_GIT_TIMEOUT"):
        Git(tmp_path, timeout=0.3).run("-c", "alias.hang=!sleep 60 & wait", "hang")
    assert time.monotonic() - started < 10

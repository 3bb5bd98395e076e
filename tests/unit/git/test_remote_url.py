"""A typed repository address must be on the connection's own server."""

from __future__ import annotations

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.remote_url import allowed_url

OWN = "https://git.example.com/team/jukebox.git"


@pytest.mark.parametrize("typed", ["", "  ", OWN])
def test_nothing_typed_means_the_connections_repository(typed: str) -> None:
    assert allowed_url(typed, OWN, "git_default") == OWN


@pytest.mark.parametrize(
    ("typed", "own"),
    [
        ("https://git.example.com/team/other.git", OWN),
        ("https://git.example.com:443/team/other.git", OWN),
        ("https://GIT.example.com/x", OWN),
        ("http://127.0.0.1:3000/x.git", "http://127.0.0.1:3000/jukebox.git"),
        ("git@git.example.com:team/other.git", "git@git.example.com:team/jukebox.git"),
        ("ssh://git@git.example.com/team/other.git", "git@git.example.com:team/jukebox.git"),
    ],
)
def test_another_repository_on_the_same_server_is_fine(typed: str, own: str) -> None:
    assert allowed_url(typed, own, "git_default") == typed


@pytest.mark.parametrize(
    "typed",
    [
        "https://evil.example.com/team/jukebox.git",
        "http://git.example.com/team/jukebox.git",  # the password in the clear
        "https://git.example.com:8443/x.git",
        "https://git.example.com.evil.org/x.git",
        "https://git.example.com@evil.org/x.git",
        "https://evil.org\\@git.example.com/x.git",
        "https://git.example.com:99999999/x.git",
        "https://git.example.com\n/x.git",
        "ext::sh -c whoami",
        "--upload-pack=whoami",
        "file:///etc",
        "/srv/git/jukebox.git",
        "evil.org:team/jukebox.git",
    ],
)
def test_d10_the_token_never_goes_to_a_stranger(typed: str) -> None:
    with pytest.raises(BadInputError, match="repo_url"):
        allowed_url(typed, OWN, "git_default")


def test_a_local_connection_allows_no_other_path() -> None:
    with pytest.raises(BadInputError):
        allowed_url("/etc/secrets.git", "/srv/git/jukebox.git", "git_default")


def test_a_password_in_a_typed_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadInputError, match="must not contain") as caught:
        allowed_url("https://ada:hunter2@git.example.com/x.git", OWN, "git_default")
    assert "hunter2" not in str(caught.value)

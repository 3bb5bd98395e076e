"""Gitea, as far as a first start needs it: the password of its user, and an empty repository."""

from __future__ import annotations

from pathlib import Path

import requests

from demo.errors import DemoError

LOGIN = "jukebox"


class Gitea:
    """
    A Gitea server, signed in as the user jukebox.

    :param url: the server's address.
    :param password: the user's password, also if it is not set yet.
    """

    def __init__(self, url: str, password: str) -> None:
        self._url = f"{url}/api/v1"
        self._password = password
        self._session = requests.Session()
        self._session.trust_env = False  # no .netrc, no proxy within a network of containers

    def set_password(self, first: Path) -> None:
        """
        Give the user its password, unless it has it.

        :param first: file with the password that the user was made with.
        """
        if self._request("GET", "user", self._password).status_code != 401:
            return
        change = {
            "login_name": LOGIN,
            "source_id": 0,
            "password": self._password,
            "must_change_password": False,
        }
        _checked(self._request("PATCH", f"admin/users/{LOGIN}", first.read_text().strip(), change))

    def create_repository(self, name: str) -> None:
        """Create an empty repository unless it exists."""
        if self._request("GET", f"repos/{LOGIN}/{name}", self._password).ok:
            return
        wanted = {"name": name, "private": True, "default_branch": "main"}
        made = self._request("POST", "user/repos", self._password, wanted)
        if made.status_code != 409:  # somebody else was faster
            _checked(made)

    def _request(
        self, method: str, path: str, password: str, body: dict[str, object] | None = None
    ) -> requests.Response:
        return self._session.request(
            method, f"{self._url}/{path}", json=body, auth=(LOGIN, password), timeout=30
        )


def _checked(response: requests.Response) -> None:
    if not response.ok:
        request = f"{response.request.method} {response.request.path_url}"
        raise DemoError(f"Gitea answered {response.status_code} to {request}: {response.text[:300]}")

"""A first start gives Gitea's user its password and a repository, once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from demo.errors import DemoError
from demo.gitea import Gitea


class GiteaStandIn:
    """Stands in for Gitea's API, which can't run here: users, passwords, repositories."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.repositories: list[str] = []
        self.changes: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gitea": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    gitea: GiteaStandIn

    def do_GET(self) -> None:
        if self._signed_in():
            known = self.path == "/api/v1/user" or self.path.rpartition("/")[2] in self.gitea.repositories
            self._answer(200 if known else 404)

    def do_PATCH(self) -> None:
        if self._signed_in():
            change = self._body()
            self.gitea.changes.append(change)
            self.gitea.password = change["password"]
            self._answer(200)

    def do_POST(self) -> None:
        if self._signed_in():
            self.gitea.repositories.append(self._body()["name"])
            self._answer(201)

    def _signed_in(self) -> bool:
        wanted = base64.b64encode(f"jukebox:{self.gitea.password}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {wanted}":
            return True
        self._answer(401)
        return False

    def _body(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[GiteaStandIn]:
    stand_in = GiteaStandIn("first")
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


def test_the_first_password_is_changed_once(server: GiteaStandIn, tmp_path: Path) -> None:
    first = tmp_path / "first-password"
    first.write_text("first\n")
    gitea = Gitea(server.url, "wanted")

    gitea.set_password(first)
    gitea.set_password(first)

    assert server.password == "wanted"
    assert [change["must_change_password"] for change in server.changes] == [False]


def test_the_repository_is_made_once(server: GiteaStandIn) -> None:
    gitea = Gitea(server.url, "first")
    gitea.create_repository("jukebox")
    gitea.create_repository("jukebox")
    assert server.repositories == ["jukebox"]


def test_a_first_password_that_is_wrong_is_told(server: GiteaStandIn, tmp_path: Path) -> None:
    first = tmp_path / "first-password"
    first.write_text("another")
    with pytest.raises(DemoError, match="Gitea answered 401 to PATCH /api/v1/admin/users/jukebox"):
        Gitea(server.url, "wanted").set_password(first)

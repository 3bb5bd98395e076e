"""The git trigger and a server with a password: secrets, rotated credentials, a server that goes away."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from demo.git_http import GitHttp
from feature_ops.git.trigger import GitPathTrigger
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.watching import Store, Triggerer, triggerer, until

LOGIN, TOKEN = "ada", "t0ken-of-the-watcher"
INTERVAL = 0.05


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


class HttpServer:
    """git's own HTTP backend behind a password, on a port that stays the same when it is down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port_holder = socket.socket()
        self._port_holder.bind(("127.0.0.1", 0))
        self._port = self._port_holder.getsockname()[1]
        self._port_holder.close()
        self.password = TOKEN
        self.requests: list[str] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/remote.git"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Quiet)
        self._server.set_app(self._answer)
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: Any, start_response: Any) -> Any:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return GitHttp(self._folder, f"{LOGIN}:{self.password}")(environ, start_response)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path)
    made.commit("first", {"feature_repo/a.py": "1"})
    return made


@pytest.fixture
def server(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """A server of the clone's repository; the git connection leads to it."""
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    made = HttpServer(tmp_path)
    connect(monkeypatch, made, TOKEN)
    yield made
    made.stop()
    get_settings.cache_clear()


def connect(monkeypatch: pytest.MonkeyPatch, server: HttpServer, password: str) -> None:
    value = {"conn_type": "git", "host": server.url, "login": LOGIN, "password": password}
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(value))


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


@asynccontextmanager
async def watched(store: Store) -> AsyncIterator[list[dict[str, Any]]]:
    running: Triggerer
    async with triggerer() as running:
        yield running.start(GitPathTrigger(paths=["feature_repo/**"], interval=INTERVAL), store)


def test_no_secret_leaves_gits_own_environment(
    server: HttpServer, clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper on PATH notes the arguments of git, and of the children git starts for itself."""
    noted = tmp_path / "arguments"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = next(p for d in os.get_exec_path() if os.access(p := f"{d}/git", os.X_OK))
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {noted}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    files: dict[Path, bytes] = {}

    async def scenario() -> dict[str, Any]:
        store = Store()
        before = dict(os.environ)
        async with watched(store) as events:
            await until(lambda: store, "the watch has its baseline")
            clone.commit("Louder", {"feature_repo/a.py": "2"})
            await until(lambda: events, "an event")
            assert dict(os.environ) == before
            for path in get_settings().work_dir.rglob("*"):
                if path.is_file():
                    files[path] = path.read_bytes()
            return events[0]

    event = asyncio.run(scenario())
    assert (event["repository"], event["subject"]) == (server.url, "Louder")
    assert "ls-remote" in noted.read_text()
    assert TOKEN not in noted.read_text()
    assert any(path.name == "config" for path in files)
    assert not [path for path, content in files.items() if TOKEN.encode() in content]
    assert TOKEN not in json.dumps(event)


def test_credentials_may_be_rotated_under_a_running_watch(
    server: HttpServer,
    clone: Clone,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server takes only new ones at first; then the connection gets them, too."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("feature_ops.git.outage._LONGEST_PAUSE", INTERVAL)

    async def scenario() -> list[dict[str, Any]]:
        store = Store()
        async with watched(store) as events:
            await until(lambda: store, "the watch has its baseline")
            server.password = "n3w-token"
            await until(lambda: told(caplog, "is held up"), "the failure is told")
            clone.commit("meanwhile", {"feature_repo/a.py": "2"})
            asked = len(server.requests)
            await until(lambda: len(server.requests) > asked + 10, "more failures")
            assert events == []
            connect(monkeypatch, server, "n3w-token")
            await until(lambda: events, "an event")
            await until(lambda: told(caplog, "works again"), "the recovery is told")
            return events

    (event,) = asyncio.run(scenario())
    assert event["subject"] == "meanwhile"
    assert told(caplog, "is held up") == told(caplog, "works again") == 1
    assert told(caplog, "check the connection git_default") == 1
    assert told(caplog, TOKEN) == told(caplog, "n3w-token") == 0


def test_a_server_that_is_down_for_many_looks_is_told_once_and_loses_nothing(
    server: HttpServer,
    clone: Clone,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("feature_ops.git.outage._LONGEST_PAUSE", INTERVAL)
    failures: list[BaseException] = []
    monkeypatch.setattr("feature_ops.git.heads_stream.Outage", noting(failures))

    async def scenario() -> list[dict[str, Any]]:
        store = Store()
        async with watched(store) as events:
            await until(lambda: store, "the watch has its baseline")
            await asyncio.to_thread(server.stop)
            clone.commit("meanwhile", {"feature_repo/a.py": "2"})
            await until(lambda: len(failures) >= 10, "ten failures")
            server.start()
            await until(lambda: events, "an event")
            await until(lambda: told(caplog, "works again"), "the recovery is told")
            return events

    (event,) = asyncio.run(scenario())
    assert event["subject"] == "meanwhile"
    assert told(caplog, "is held up") == told(caplog, "works again") == 1


def noting(failures: list[BaseException]) -> type:
    from feature_ops.git.outage import Outage

    class Noting(Outage):
        def failed(self, error: BaseException) -> float:
            failures.append(error)
            return super().failed(error)

    return Noting


def test_many_watchers_are_one_request_for_each_look(server: HttpServer, clone: Clone) -> None:
    async def scenario() -> int:
        stores = [Store() for _ in range(20)]
        async with triggerer() as running:
            for number, store in enumerate(stores):
                running.start(GitPathTrigger(paths=[f"dir{number}/**"], interval=INTERVAL), store)
            await until(lambda: all(stores), "all have their baseline")
            return len(server.requests)

    # Protocol 2 over HTTP: refused without a password, greeted, answered; a few looks at most.
    assert asyncio.run(scenario()) <= 3 * 5


def test_a_watch_of_large_files_fetches_none_of_them(server: HttpServer, clone: Clone) -> None:
    big = os.urandom(200_000).hex()
    clone.commit("big", {"model/weights.txt": big, "feature_repo/b.py": big})

    async def scenario() -> int:
        store = Store()
        async with watched(store) as events:
            await until(lambda: store, "the watch has its baseline")
            clone.commit("Louder", {"feature_repo/b.py": "2"})
            await until(lambda: events, "an event")
            return sum(path.stat().st_size for path in get_settings().work_dir.rglob("*") if path.is_file())

    assert asyncio.run(scenario()) < 50_000


def test_a_key_of_the_connection_reaches_ssh(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ssh notes its arguments and the key, then runs the command here."""
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/ssh\ncat "$2" > {tmp_path}/key\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    key = "-----BEGIN A KEY-----"
    value = {"conn_type": "git", "host": f"ssh://git@localhost{clone.bare}", "extra": {"private_key": key}}
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(value))

    async def scenario() -> dict[str, Any]:
        store = Store()
        async with watched(store) as events:
            await until(lambda: store, "the watch has its baseline")
            clone.commit("Louder", {"feature_repo/a.py": "2"})
            await until(lambda: events, "an event")
            return events[0]

    assert asyncio.run(scenario())["subject"] == "Louder"
    assert "IdentitiesOnly=yes" in (tmp_path / "ssh").read_text()
    assert key not in (tmp_path / "ssh").read_text()
    assert (tmp_path / "key").read_text() == key
    get_settings.cache_clear()

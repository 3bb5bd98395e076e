"""Opening sources: what is streamed, and what is refused."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from feature_ops.datasets.fetch import open_source
from feature_ops.datasets.source import parse_source
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore
from feature_ops.settings import Settings

CONTENT = os.urandom(3 * 1024 * 1024)


class Site(BaseHTTPRequestHandler):
    """Pages that answer as strangers' servers do."""

    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        getattr(self, f"page_{name}", self.page_missing)()

    def page_data(self) -> None:
        self._answer(200, CONTENT, {"Content-Length": str(len(CONTENT))})

    def page_missing(self) -> None:
        self._answer(404, b"no", {})

    def page_busy(self) -> None:
        self._answer(503, b"later", {})

    def page_signed(self) -> None:
        self._answer(302, b"", {"Location": f"/redirected?{self.path.partition('?')[2]}"})

    def page_redirected(self) -> None:
        self._answer(200, self.path.partition("?")[2].encode(), {})

    def page_moved(self) -> None:
        self._answer(302, b"", {"Location": "/data"})

    def page_circle(self) -> None:
        self._answer(302, b"", {"Location": "/circle"})

    def page_elsewhere(self) -> None:
        self._answer(302, b"", {"Location": "http://forbidden.example.org/data"})

    def page_passwd(self) -> None:
        self._answer(302, b"", {"Location": "file:///etc/passwd"})

    def page_cut(self) -> None:
        self._answer(200, CONTENT[:1000], {"Content-Length": str(len(CONTENT))})

    def page_empty(self) -> None:
        self._answer(200, b"", {})

    def page_silent(self) -> None:
        self.server.released.wait(10)  # type: ignore[attr-defined]

    def page_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.released.is_set():  # type: ignore[attr-defined]
            try:
                self.wfile.write(CONTENT)
            except OSError:
                return

    def page_trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.released.wait(0.02):  # type: ignore[attr-defined]
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header in headers.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    server.released = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def settings(**changes: Any) -> Settings:
    return Settings(
        **{
            "source_schemes": ("http", "file"),
            "source_hosts": ("127.0.0.1",),
            "source_private_addresses": True,
            "source_timeout": 1.0,
            **changes,
        }
    )


def fetch(url: str, chosen: Settings) -> bytes:
    with open_source(parse_source(url, chosen), ObjectStore(), chosen) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize("private", [True, False])
def test_a_signature_reaches_the_server_and_no_log(
    private: bool, site: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_ops.datasets.guarded_http.is_public", lambda address: True)
    caplog.set_level(logging.DEBUG)
    url = f"{site}/signed?X-Amz-Signature=hunter2&a=%2F%20b"
    assert fetch(url, settings(source_private_addresses=private)) == b"X-Amz-Signature=hunter2&a=%2F%20b"
    assert '"GET /redirected HTTP/1.1" 200' in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("page", ["data", "moved"])
def test_a_web_source_is_streamed_also_after_a_redirect(site: str, page: str) -> None:
    assert fetch(f"{site}/{page}", settings()) == CONTENT


@pytest.mark.parametrize(
    ("page", "changes", "error", "reason"),
    [
        ("missing", {}, BadInputError, "answered 404"),
        ("busy", {}, FeatureOpsError, "answered 503"),
        ("circle", {}, BadInputError, "more than 5 times"),
        ("elsewhere", {}, BadInputError, r"redirects to a place.*forbidden\.example\.org"),
        ("passwd", {}, BadInputError, "which is not a web address"),
        ("empty", {}, BadInputError, "empty file"),
        ("cut", {}, FeatureOpsError, "broke off: .*IncompleteRead"),
        ("silent", {"source_timeout": 0.2}, FeatureOpsError, "could not be fetched: .*[Tt]ime"),
        ("data", {"source_max_size": 1_000_000}, BadInputError, "larger than 976.6KiB"),
        ("endless", {"source_max_size": 9_000_000}, BadInputError, "larger than 8.6MiB"),
        ("trickle", {"source_deadline": 0.3}, FeatureOpsError, "FEATURE_OPS_SOURCE_DEADLINE"),
        ("data", {"source_private_addresses": False}, BadInputError, "not a public address"),
    ],
)
def test_a_bad_web_source_ends_with_its_reason(
    site: str, page: str, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        fetch(f"{site}/{page}?signature=hunter2", settings(**changes))
    assert isinstance(caught.value, BadInputError) == (error is BadInputError)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_no_fault_of_the_input() -> None:
    with pytest.raises(FeatureOpsError, match="could not be fetched") as caught:
        fetch("http://127.0.0.1:9/a?signature=hunter2", settings())
    assert not isinstance(caught.value, BadInputError)
    assert "hunter2" not in str(caught.value)


def test_files_are_read_inside_the_allowed_folders_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "a b.parquet").write_bytes(CONTENT)
    (outside / "secret").write_bytes(CONTENT)
    (inside / "link").symlink_to(outside / "secret")
    os.mkfifo(inside / "pipe")
    chosen = settings(source_folders=(inside,))
    assert fetch(f"file://{inside}/a%20b.parquet", chosen) == CONTENT
    for path, reason in {
        f"{inside}/link": "not inside an allowed folder",
        f"{inside}/../outside/secret": "not inside an allowed folder",
        f"{inside}/%2e%2e/outside/secret": "not inside an allowed folder",
        f"{inside}/missing": "no such file",
        f"{inside}/pipe": "not a regular file",
        f"{inside}": "not a regular file",
    }.items():
        with pytest.raises(BadInputError, match=reason):
            fetch(f"file://{path}", chosen)

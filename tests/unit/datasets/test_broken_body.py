"""An object whose body breaks off is named, wherever it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.fetch import open_source
from feature_ops.datasets.source import parse_source
from feature_ops.datasets.stage import StagedFile
from feature_ops.datasets.stage import download as download_staged
from feature_ops.dvc.data_files import download as download_version
from feature_ops.exceptions import BadInputError
from feature_ops.history_failures import reading_history
from feature_ops.object_store import ObjectStore
from feature_ops.object_store_failures import ObjectStoreError
from feature_ops.settings import Settings

URI = "s3://data/plants/file.parquet"
SIZE = 1_000_000


class BreakingOff(BaseHTTPRequestHandler):
    """Stands in for an object store: announces a megabyte and sends a little of it."""

    def do_HEAD(self) -> None:
        self._announce()

    def do_GET(self) -> None:
        self._announce()
        self.wfile.write(b"PAR1" * 100)

    def _announce(self) -> None:
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(SIZE))
        self.send_header("Content-Range", f"bytes 0-{SIZE - 1}/{SIZE}")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BreakingOff)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ObjectStore("a", "hunter2", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def read_source(store: ObjectStore, _: Path) -> None:
    settings = Settings()
    with open_source(parse_source(URI, settings), store, settings) as chunks:
        b"".join(chunks)


def read_staged(store: ObjectStore, target: Path) -> None:
    download_staged(StagedFile(URI, SIZE, "0" * 64), store, str(target))


def read_version(store: ObjectStore, target: Path) -> None:
    download_version(store, URI, target)


def read_history(store: ObjectStore, _: Path) -> None:
    with reading_history([URI], store):
        pq.read_table("data/plants/file.parquet", filesystem=store.filesystem)


@pytest.mark.parametrize("read", [read_source, read_staged, read_version, read_history])
def test_a_body_that_breaks_off_is_named_and_worth_another_try(
    read: Callable[[ObjectStore, Path], None], store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        read(store, tmp_path / "target")
    assert not isinstance(caught.value, BadInputError)
    assert str(caught.value).startswith(f"{URI} broke off while it was read (")
    assert "hunter2" not in str(caught.value)


def test_other_errors_stay_what_they_are(store: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError), reading_history([URI], store):
        raise ZeroDivisionError
    with pytest.raises(OSError, match="No space"), reading_history([URI], store):
        raise OSError(28, "No space left on device")
    with pytest.raises(pa.ArrowInvalid), reading_history([], store):
        raise pa.ArrowInvalid("something else")

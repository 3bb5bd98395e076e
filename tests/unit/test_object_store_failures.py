"""An object store's refusals, told so that a person knows what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from feature_ops.exceptions import BadInputError
from feature_ops.object_store import ObjectStore
from feature_ops.object_store_failures import ObjectStoreError


class Refusing(BaseHTTPRequestHandler):
    """Stands in for an object store: answers any request with the refusal of the test."""

    status, code = 200, ""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ObjectStore("a", "hunter2", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "retried", "words"),
    [
        (404, "NoSuchBucket", False, "PutObject of s3://data/k: there is no such bucket at .*: create it"),
        (403, "AccessDenied", False, r"PutObject of s3://data/k is denied \(AccessDenied\): let the account"),
        (403, "InvalidAccessKeyId", False, r"sign-in \(InvalidAccessKeyId\): correct login and password"),
        (400, "ExpiredToken", False, r"does not accept the sign-in \(ExpiredToken\)"),
        (507, "XMinioStorageFull", True, "PutObject of s3://data/k: .* has no room for it .*free space"),
        (403, "QuotaExceeded", True, "has no room for it .*raise the quota"),
        (500, "InternalError", True, r"failed \(InternalError\): it may be overloaded or out of space"),
        (503, "SlowDown", True, r"failed \(SlowDown\)"),
        (404, "NoSuchUpload", True, r"does not know the upload any more \(NoSuchUpload\): .*try again"),
    ],
)
def test_a_refusal_says_what_to_do_and_whether_to_try_again(
    status: int, code: str, retried: bool, words: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Refusing, "status", status)
    monkeypatch.setattr(Refusing, "code", code)
    with pytest.raises(ObjectStoreError, match=words) as caught:
        store.put_bytes(b"x", "s3://data/k")
    assert retried == (not isinstance(caught.value, BadInputError))
    assert "hunter2" not in str(caught.value)


def test_a_lost_race_is_left_to_the_caller(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusing, "status", 412)
    monkeypatch.setattr(Refusing, "code", "PreconditionFailed")
    with pytest.raises(ClientError):
        store.put_bytes(b"x", "s3://data/k")

"""Dumps of the registry: a retry never overwrites the state to go back to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from feature_ops.feast.registry_dump import write_dump
from feature_ops.object_store import ObjectStore


def test_dumps_of_one_commit_within_a_second_have_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, bytes] = {}
    objects = SimpleNamespace(put_bytes=lambda content, uri: written.update({uri: content}))
    monkeypatch.setattr(ObjectStore, "from_environment", lambda _: objects)
    contents = [b"before", b"halfway"]
    for content in contents:
        message = SimpleNamespace(SerializeToString=lambda content=content: content)
        store: Any = SimpleNamespace(registry=SimpleNamespace(proto=lambda message=message: message))
        write_dump(store, "s3://bucket/_registry/", "a" * 40)
    assert list(written.values()) == contents

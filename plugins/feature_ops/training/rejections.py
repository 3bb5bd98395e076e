"""
Which definitions were trained and refused: they are not trained again until something changes.

One JSON object per definition's hash on object storage.
"""

from __future__ import annotations

import json

from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import get_settings


class Rejections:
    """The refused definitions of one model."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._store = store
        self._prefix = f"{get_settings().storage_uri}/_training/{model}/rejected/"

    def reason(self, definition_hash: str) -> str | None:
        """Return why a definition was refused, None if it was not."""
        uri = self._uri(definition_hash)
        if not self._store.exists(uri):
            return None
        bucket, key = split_uri(uri)
        content = self._store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return str(json.loads(content)["reason"])

    def remember(self, definition_hash: str, commit: str, reason: str) -> None:
        """Note that a definition was refused."""
        note = {"commit": commit, "reason": reason}
        self._store.put_bytes(json.dumps(note).encode(), self._uri(definition_hash))

    def forget(self, definition_hash: str) -> None:
        """Note that a definition was accepted after all."""
        self._store.delete(self._uri(definition_hash))

    def _uri(self, definition_hash: str) -> str:
        return f"{self._prefix}{definition_hash}.json"

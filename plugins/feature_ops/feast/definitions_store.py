"""What commits define, kept on object storage: a commit never changes, so it is loaded only once."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from feature_ops.feast.diff.definitions import Definitions

# To be raised when definitions are written in another form.
_FORMAT = 4


class DefinitionsStore:
    """The definitions of the watched repository's commits."""

    def __init__(self, object_store: ObjectStore) -> None:
        self._store = object_store
        self._prefix = f"{get_settings().storage_uri}/_definitions/"

    def uri(self, commit: str) -> str:
        """Return where a commit's definitions are kept."""
        path = get_settings().feature_repo_path.strip("/").replace("/", "_")
        return f"{self._prefix}{path}/feast-{version('feast')}-{_FORMAT}/{commit}.json"

    def get(self, commit: str) -> Definitions | None:
        """Return what a commit defines if it is known."""
        from feature_ops.feast.diff.definitions import Definitions

        uri = self.uri(commit)
        if not self._store.exists(uri):
            return None
        bucket, key = split_uri(uri)
        content = self._store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return Definitions.from_json(json.loads(content))

    def put(self, commit: str, definitions: Definitions) -> str:
        """Keep what a commit defines; returns where."""
        uri = self.uri(commit)
        self._store.put_bytes(json.dumps(definitions.to_json()).encode(), uri)
        return uri

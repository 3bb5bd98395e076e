"""
Which recipes were trained and refused: they are not trained again until something changes.

One JSON object per recipe on object storage.
"""

from __future__ import annotations

import json

from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import get_settings
from feature_ops.training.recipe import Recipe


class Rejections:
    """The refused recipes of one model."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._store = store
        self._prefix = f"{get_settings().storage_uri}/_training/{model}/rejected/"

    def reason(self, recipe: Recipe, dataset_version: str, data_count: bool = False) -> str | None:
        """
        Return why a recipe was refused, None if it was not.

        :param data_count: a refusal on other data than these does not count.
        """
        uri = self._uri(recipe)
        if not self._store.exists(uri):
            return None
        bucket, key = split_uri(uri)
        content = self._store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        note = json.loads(content)
        if (data_count or note["accepted_before"]) and note["dataset_version"] != dataset_version:
            return None
        return str(note["reason"])

    def remember(
        self, recipe: Recipe, commit: str, reason: str, dataset_version: str, accepted_before: bool = False
    ) -> None:
        """
        Note that a recipe was refused, on some data.

        :param accepted_before: it is the newest model's, which was trained again: the data are to blame, and
            it is not refused on others.
        """
        note = {
            "commit": commit,
            "reason": reason,
            "dataset_version": dataset_version,
            "accepted_before": accepted_before,
        }
        self._store.put_bytes(json.dumps(note).encode(), self._uri(recipe))

    def forget(self, recipe: Recipe) -> None:
        """Note that a recipe was accepted after all."""
        self._store.delete(self._uri(recipe))

    def _uri(self, recipe: Recipe) -> str:
        return f"{self._prefix}{recipe.key}.json"

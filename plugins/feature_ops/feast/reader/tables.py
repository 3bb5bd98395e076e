"""Rows of tables that have one for each entity key and feature, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_ops.feast.reader.rows import Rows

_NOTHING: dict[str, bytes] = {}


class Found:
    """What a table holds of some entities."""

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._values: dict[bytes, dict[str, bytes]] = {}
        # Of each entity, that of the row that came last, as Feast takes it.
        self._times: dict[bytes, Any] = {}

    def add(self, key: bytes, feature: str, value: bytes, time: Any) -> None:
        """Take a row of the table."""
        values = self._values.get(key)
        if values is None:
            self._values[key] = {feature: value}
        else:
            values[feature] = value
        self._times[key] = time

    def rows(self, keys: Sequence[bytes], features: Sequence[str]) -> Rows:
        """Return what was found, in the order of the keys."""
        entities = [self._values.get(key, _NOTHING) for key in keys]
        return Rows(
            [[values.get(feature) for values in entities] for feature in features],
            [self._times.get(key) for key in keys],
        )

"""Rows of tables that have one for each entity key and feature, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from feature_ops.feast.reader.rows import Row, Rows

# An entity key, the feature's name, its value, and the event time.
Cell = tuple[bytes, str, bytes, Any]


def columns_of(cells: Iterable[Cell], keys: Sequence[bytes], features: Sequence[str]) -> Rows:
    """
    Return what a table holds of some entities.

    :param keys: of the entities, in the order that is wanted; the cells may be in any other.
    :param features: of which columns are wanted; other cells tell no more than the time.
    """
    unique = list(dict.fromkeys(keys))
    rows = {key: place for place, key in enumerate(unique)}
    columns: dict[str, list[bytes | None]] = {feature: [None] * len(unique) for feature in features}
    # Of each entity that of its last cell, as Feast takes it.
    times: list[Any] = [None] * len(unique)
    for key, feature, value, time in cells:
        place = rows[key]
        times[place] = time
        if feature in columns:
            columns[feature][place] = value
    if len(unique) == len(keys):
        return Rows(list(columns.values()), times)
    places = [rows[key] for key in keys]
    return Rows(
        [[column[place] for place in places] for column in columns.values()],
        [times[place] for place in places],
    )


def one_of_each(rows: Sequence[Rows]) -> list[Row]:
    """Return rows of one key."""
    return [Row([column[0] for column in part.columns], part.times[0]) for part in rows]

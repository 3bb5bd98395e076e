"""
Writes rows to SQLite, where an older event never replaces a newer one.

Source of the layout: ``feast.infra.online_stores.sqlite`` of Feast 0.67: one table row per entity and
feature, times in whole seconds, which it counts from 1970 in the process's own zone. So events of one
second are of one time here, and the later written wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import pyarrow as pa

from feature_ops.feast.engine.rows import EncodedRows

_Row = tuple[Any, ...]


@dataclass(frozen=True)
class SqliteWriter:
    """
    Writes rows of one feature view.

    :param connection: a connection of sqlite3.
    :param table: the view's table.
    """

    connection: Any
    table: str

    def write(self, rows: EncodedRows) -> int:
        """
        Write rows in one transaction; returns how many were no older than what was stored.

        :param rows: with their texts.
        :raises sqlite3.Error: the file can't be written.
        """
        if not rows.values or not len(rows):
            return 0
        table = '"' + self.table.replace('"', '""') + '"'
        upsert = (
            f"INSERT INTO {table} AS stored "  # noqa: S608
            "(entity_key, feature_name, value, value_text, event_ts, created_ts) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, "
            "value_text = excluded.value_text, event_ts = excluded.event_ts, "
            "created_ts = excluded.created_ts "
            # Earlier releases of Feast wrote times as text, which is greater than any number.
            "WHERE typeof(stored.event_ts) <> 'integer' OR stored.event_ts <= excluded.event_ts"
        )
        with self.connection:
            cursor = self.connection.executemany(upsert, table_rows(rows.by_key()))
        return -(-int(cursor.rowcount) // len(rows.values))


def table_rows(rows: EncodedRows) -> Iterator[_Row]:
    """Yield the table rows: key, feature, value, text, event and created time in whole seconds."""
    keys = rows.keys.to_pylist()
    events = _seconds(pa.array(rows.event_times))
    created = repeat(None) if rows.created_times is None else _seconds(rows.created_times)
    features = [
        zip(
            keys,
            repeat(name),
            values.to_pylist(),
            rows.texts[name].to_pylist(),
            events,
            created,
            strict=False,
        )
        for name, values in rows.values.items()
    ]
    return chain.from_iterable(zip(*features, strict=True))


def _seconds(microseconds: pa.Int64Array) -> list[int | None]:
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch

    moments = microseconds.cast(pa.timestamp("us")).to_pylist()
    return [None if moment is None else adapt_datetime_epoch(moment) for moment in moments]

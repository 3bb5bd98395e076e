"""
Writes rows to SQLite, where an older event never replaces a newer one.

Source of the layout: ``feast.infra.online_stores.sqlite`` of Feast 0.67: one table row per entity and
feature, times in whole seconds, which it counts from 1970 in the process's own zone. So events of one
second are of one time here, and the later written wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

import pyarrow as pa

from feature_ops.feast.engine.rows import EncodedRows

# Older releases of SQLite take 999 variables a statement.
_FEATURES_PER_STATEMENT = 400


@dataclass(frozen=True)
class SqliteWriter:
    """
    Writes rows of one feature view.

    :param connection: a connection of sqlite3.
    :param table: the view's table.
    """

    connection: Any
    table: str
    may_write_at_once: ClassVar[bool] = False
    wants_key_order: ClassVar[bool] = True

    def write(self, rows: EncodedRows) -> int:
        """
        Write rows in one transaction; returns how many were no older than what was stored.

        :param rows: with their texts.
        :raises sqlite3.Error: the file can't be written.
        """
        if not rows.values or not len(rows):
            return 0
        sorted_rows, features = rows.by_key(), list(rows.values)
        changed = 0
        with self.connection:
            for start in range(0, len(features), _FEATURES_PER_STATEMENT):
                some = features[start : start + _FEATURES_PER_STATEMENT]
                cursor = self.connection.executemany(self._upsert(some), _entities(sorted_rows, some))
                changed += int(cursor.rowcount)
        return -(-changed // len(features))

    def _upsert(self, features: Sequence[str]) -> str:
        """Return the statement that writes one entity: it is given key and times once, not per feature."""
        values = ", ".join(
            f"(?1, {name}, ?{4 + 2 * place}, ?{5 + 2 * place}, ?2, ?3)"
            for place, name in enumerate(_quoted(name, "'") for name in features)
        )
        table = _quoted(self.table, '"')
        return (
            f"INSERT INTO {table} AS stored "  # noqa: S608
            f"(entity_key, feature_name, value, value_text, event_ts, created_ts) VALUES {values} "
            "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, "
            "value_text = excluded.value_text, event_ts = excluded.event_ts, "
            "created_ts = excluded.created_ts "
            # Earlier releases of Feast wrote times as text, which is greater than any number.
            "WHERE typeof(stored.event_ts) <> 'integer' OR stored.event_ts <= excluded.event_ts"
        )


def _entities(rows: EncodedRows, features: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield each entity's key, event and created time in whole seconds, and values with their texts."""
    times = _seconds(pa.array(rows.event_times))
    created = repeat(None) if rows.created_times is None else _seconds(rows.created_times)
    values = [_objects(column) for name in features for column in (rows.values[name], rows.texts[name])]
    return zip(_objects(rows.keys), times, created, *values, strict=False)


def _objects(column: pa.Array) -> list[Any]:
    """Return bytes or text as Python's own, made all at once and not one by one as by ``to_pylist``."""
    return list(column.to_numpy(zero_copy_only=False))


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, 2 * quote) + quote


def _seconds(microseconds: pa.Int64Array) -> list[int | None]:
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch

    # Many rows have few times.
    encoded = microseconds.dictionary_encode()
    moments = encoded.dictionary.cast(pa.timestamp("us")).to_pylist()
    seconds = [adapt_datetime_epoch(moment) for moment in moments]
    return [None if place is None else seconds[place] for place in encoded.indices.to_pylist()]

"""
Writes rows to PostgreSQL, where an older event never replaces a newer one.

Source of the layout: ``feast.infra.online_stores.postgres_online_store`` of Feast 0.67: one table row per
entity and feature. Rows are copied in PostgreSQL's binary format into a temporary table
(https://www.postgresql.org/docs/current/sql-copy.html), then put in place by one statement. Event times
travel without a zone as Feast sends them, so that the server reads them as it reads Feast's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.rows import EncodedRows
from feature_ops.feast.engine.wire import EMPTY, Ints, fixed_width, lengths_of

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
COPY_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_COLUMNS = 6
# PostgreSQL counts from the year 2000.
_EPOCH = 946_684_800_000_000
_BYTES_PER_WRITE = 1 << 20


@dataclass(frozen=True)
class PostgresWriter:
    """
    Writes rows of one feature view.

    :param connection: a connection of psycopg.
    :param another: opens one more, for each thread that writes while others do; the caller closes it.
    :param table: the view's table, in the connections' search path.
    """

    connection: Any
    another: Callable[[], Any]
    table: str
    may_write_at_once: ClassVar[bool] = True
    wants_key_order: ClassVar[bool] = True
    _free: list[Any] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._free.append(self.connection)

    def write(self, rows: EncodedRows) -> int:
        """
        Write rows in one transaction; returns how many were no older than what was stored.

        Rows go in the order of their keys, so that two transactions never wait for each other.

        :param rows: with their texts.
        :raises psycopg.Error: the server does not answer, or refuses.
        """
        from psycopg import sql

        if not rows.values or not len(rows):
            return 0
        table = sql.Identifier(self.table)
        with self._borrowed() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE feature_ops_rows (entity_key bytea, feature_name text, value bytea, "
                "value_text text, event_ts timestamp, created_ts timestamp) ON COMMIT DROP"
            )
            with cursor.copy("COPY feature_ops_rows FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(COPY_HEADER)
                data = memoryview(copy_tuples(rows.by_key()).buffers()[2])
                for start in range(0, len(data), _BYTES_PER_WRITE):
                    copy.write(data[start : start + _BYTES_PER_WRITE])
                copy.write(COPY_TRAILER)
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {table} AS stored "
                    "(entity_key, feature_name, value, value_text, event_ts, created_ts) "
                    "SELECT * FROM feature_ops_rows ON CONFLICT (entity_key, feature_name) DO UPDATE SET "
                    "value = EXCLUDED.value, value_text = EXCLUDED.value_text, "
                    "vector_value = EXCLUDED.vector_value, event_ts = EXCLUDED.event_ts, "
                    "created_ts = EXCLUDED.created_ts "
                    "WHERE stored.event_ts IS NULL OR stored.event_ts <= EXCLUDED.event_ts"
                ).format(table=table)
            )
            return -(-int(cursor.rowcount) // len(rows.values))

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self.another()
        yield connection
        self._free.append(connection)


def copy_tuples(rows: EncodedRows) -> pa.LargeBinaryArray:
    """Return each row's table rows in the binary format of ``COPY``, one after the other."""
    keys, times = _field(rows.keys), _times(rows)
    parts: list[Any] = []
    for name, values in rows.values.items():
        encoded = name.encode()
        before = struct.pack("!h", _COLUMNS)
        named = struct.pack("!i", len(encoded)) + encoded
        texts = _field(rows.texts[name].cast(pa.large_binary()))
        parts += [_constant(before), keys, _constant(named), _field(values), texts, times]
    return pc.binary_join_element_wise(*parts, EMPTY)


def _field(values: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    lengths = lengths_of(values).astype(">i4")
    fields = pc.binary_join_element_wise(_big_endian(lengths), values, EMPTY)
    return pc.fill_null(fields, _constant(_NULL))


def _times(rows: EncodedRows) -> pa.LargeBinaryArray:
    events = _moments(rows.event_times)
    if rows.created_times is None:
        return pc.binary_join_element_wise(events, _constant(_NULL), EMPTY)
    created = _moments(rows.created_times.fill_null(0).to_numpy())
    known = pc.if_else(rows.created_times.is_valid(), created, _constant(_NULL))
    return pc.binary_join_element_wise(events, known, EMPTY)


def _moments(microseconds: Ints) -> pa.LargeBinaryArray:
    return pc.binary_join_element_wise(
        _constant(struct.pack("!i", 8)), _big_endian((microseconds - _EPOCH).astype(">i8")), EMPTY
    )


def _big_endian(numbers: np.ndarray) -> pa.LargeBinaryArray:
    return fixed_width(numbers.view(f"<i{numbers.dtype.itemsize}"))


def _constant(value: bytes) -> pa.Scalar:
    return pa.scalar(value, pa.large_binary())

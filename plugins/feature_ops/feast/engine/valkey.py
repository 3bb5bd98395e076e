"""
Writes rows to a Redis-protocol store, where an older event never replaces a newer one.

Source of the layout: ``feast.infra.online_stores.redis`` of Feast 0.67. A row is a hash whose key is the
serialized entity key and the project's name. It holds each value under the first four bytes of the
murmur3 hash of ``view:feature``, and the event time under ``_ts:view``.

Event times are compared under ``WATCH``: the server refuses the whole of what follows if one of the keys
has changed since it was looked at. This costs the server half of what a script does that gets all values.
Whatever is refused is written by a script, which compares and writes in one and so can't be refused again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mmh3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine import resp
from feature_ops.feast.engine.event_times import encode_timestamps
from feature_ops.feast.engine.rows import EncodedRows
from feature_ops.feast.engine.wire import EMPTY, Ints, offsets_of

# The server does nothing else while it executes what was watched: a millisecond or two.
_ROWS_PER_PIECE = 100
_BYTES_PER_PIECE = 1 << 20
# While one waits for its answer, the server works for the others.
_CONNECTIONS = 8


@dataclass(frozen=True)
class ValkeyWriter:
    """
    Writes rows of one feature view.

    :param client: a client of redis-py that reaches one server.
    :param view: the view's name in the store, with its version if it has one.
    :param expiry: seconds after which a written key expires; never if 0.
    """

    client: Any
    project: str
    view: str
    expiry: int = 0

    def write(self, rows: EncodedRows) -> int:
        """
        Write rows; returns how many were no older than what was stored.

        :raises redis.RedisError: the server does not answer, or refuses.
        """
        batch = _Batch(self, rows)
        with self._connections() as connections:
            turns: list[_Turn | None] = [None] * len(connections)
            for number, piece in enumerate(batch.pieces()):
                place = number % len(connections)
                before = turns[place]
                decided = before.decided() if before else b""
                connections[place].send_packed_command([decided, batch.watched(piece)])
                written = before.executed() if before else 0
                batch.written += written
                turns[place] = _Turn(batch, connections[place], piece)
            for turn in turns:
                if turn:
                    turn.connection.send_packed_command([turn.decided()])
                    batch.written += turn.executed()
        return batch.written

    @contextmanager
    def _connections(self) -> Iterator[list[Any]]:
        pool = self.client.connection_pool
        connections: list[Any] = []
        try:
            for _ in range(_CONNECTIONS):
                connections.append(pool.get_connection())
            yield connections
        except BaseException:
            # Keys may be watched, and answers under way that nobody has read.
            for connection in connections:
                connection.disconnect()
            raise
        finally:
            for connection in connections:
                pool.release(connection)


class _Batch:
    """Rows as commands."""

    def __init__(self, writer: ValkeyWriter, rows: EncodedRows) -> None:
        self.writer = writer
        self.rows = rows
        self.written = 0
        view = writer.view
        self.time_field = b"_ts:" + view.encode()
        self.fields = [field_of(view, name) for name in rows.values]
        self.times = encode_timestamps(rows.event_times)
        self.keys = keys_of(rows, writer.project)
        self._key_bulks = _Records(resp.bulks(self.keys))
        self._gets = _Records(resp.commands([b"HGET", self.keys, self.time_field]))
        sets = hset_commands(self.keys, [self.time_field, *self.fields], [self.times, *rows.values.values()])
        if writer.expiry:
            expire = resp.commands([b"EXPIRE", self.keys, b"%d" % writer.expiry])
            sets = pc.binary_join_element_wise(sets, expire, EMPTY)
        self._sets = _Records(sets)
        self.commands_per_row = 2 if writer.expiry else 1

    def pieces(self) -> Iterator[range]:
        """Yield the rows that are compared and written together."""
        ends, start = self._sets.offsets, 0
        while start < len(self.rows):
            fitting = int(np.searchsorted(ends, ends[start] + _BYTES_PER_PIECE, side="right")) - 1
            end = min(max(fitting, start + 1), start + _ROWS_PER_PIECE, len(self.rows))
            yield range(start, end)
            start = end

    def watched(self, piece: range) -> bytes:
        """Return the commands that watch the rows' keys and ask for their event times."""
        watch = b"*%d\r\n$5\r\nWATCH\r\n" % (1 + len(piece))
        return b"".join([watch, self._key_bulks.between(piece), self._gets.between(piece)])

    def set(self, piece: range, wanted: Sequence[int]) -> bytes:
        """Return the commands that write the wanted rows of a piece if no key has changed."""
        if not wanted:
            return resp.command(b"UNWATCH")
        if len(wanted) == len(piece):
            body = bytes(self._sets.between(piece))
        else:
            body = b"".join(self._sets.between(range(row, row + 1)) for row in wanted)
        return b"".join([resp.command(b"MULTI"), body, resp.command(b"EXEC")])

    def wanted(self, piece: range, stored: Sequence[bytes | None]) -> list[int]:
        """Return the rows that are no older than what is stored."""
        times = self.times.slice(piece.start, len(piece)).to_pylist()
        instants = self.rows.event_times
        return [
            row
            for row, new, old in zip(piece, times, stored, strict=True)
            if old is None or old == new or int(instants[row]) * 1_000 >= _nanoseconds(old)
        ]

    def write_by_script(self, rows: Sequence[int]) -> int:
        """Compare and write rows in one; returns how many were written."""
        values = [self.times, *self.rows.values.values()]
        fields = [self.time_field, *self.fields]
        return int(
            self.writer.client.eval(
                _script(),
                len(rows),
                *(self.keys[row].as_py() for row in rows),
                *(len(fields), self.writer.expiry, *fields),
                *(column[row].as_py() for row in rows for column in values),
            )
        )


class _Turn:
    """One piece on one connection, from the look at what is stored to the answer to what was written."""

    def __init__(self, batch: _Batch, connection: Any, piece: range) -> None:
        self.connection = connection
        self._batch, self._piece = batch, piece
        self._wanted: list[int] = []

    def decided(self) -> bytes:
        """Read what is stored; returns the commands that are to follow."""
        self.connection.read_response()
        # Feast's clients may be told to decode what they read, which bytes must not be.
        stored = [self.connection.read_response(disable_decoding=True) for _ in self._piece]
        self._wanted = self._batch.wanted(self._piece, stored)
        return self._batch.set(self._piece, self._wanted)

    def executed(self) -> int:
        """Read the answers to those commands; returns how many rows were written."""
        self.connection.read_response()
        if not self._wanted:
            return 0
        for _ in range(len(self._wanted) * self._batch.commands_per_row):
            self.connection.read_response()
        answers = self.connection.read_response()
        if answers is None:
            return self._batch.write_by_script(self._wanted)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return len(self._wanted)


class _Records:
    """Records of bytes, parts of which are handed out without a copy."""

    def __init__(self, array: pa.LargeBinaryArray) -> None:
        self.offsets: Ints = offsets_of(array)
        self._data = memoryview(array.buffers()[2] or b"")

    def between(self, rows: range) -> memoryview:
        """Return the records of the rows as they lie one after the other."""
        return self._data[self.offsets[rows.start] : self.offsets[rows.stop]]


def keys_of(rows: EncodedRows, project: str) -> pa.LargeBinaryArray:
    """Return the keys of the hashes."""
    return pc.binary_join_element_wise(rows.keys, pa.scalar(project.encode(), pa.large_binary()), EMPTY)


def hset_commands(
    keys: pa.LargeBinaryArray, fields: Sequence[bytes], values: Sequence[pa.LargeBinaryArray]
) -> pa.LargeBinaryArray:
    """Return the command that writes each row, whatever is stored."""
    pairs: list[bytes | pa.LargeBinaryArray] = []
    for field, column in zip(fields, values, strict=True):
        pairs += [field, column]
    return resp.commands([b"HSET", keys, *pairs])


def field_of(view: str, feature: str) -> bytes:
    """Return the hash field under which a feature's value is stored."""
    return mmh3.hash(f"{view}:{feature}", signed=False).to_bytes(4, "little")


def _nanoseconds(message: bytes) -> int:
    from google.protobuf.timestamp_pb2 import Timestamp

    stored = Timestamp.FromString(message)
    return int(stored.seconds) * 1_000_000_000 + int(stored.nanos)


@cache
def _script() -> str:
    return Path(__file__).with_name("valkey_compare.lua").read_text(encoding="utf-8")

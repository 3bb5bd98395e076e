"""
Writes rows to a Redis-protocol store, where an older event never replaces a newer one.

Source of the layout: ``feast.infra.online_stores.redis`` of Feast 0.67. A row is a hash whose key is the
serialized entity key and the project's name. It holds each value under the first four bytes of the
murmur3 hash of ``view:feature``, and the event time under ``_ts:view``.

What is new is written by ``HSETEX … FNX``, which the server refuses where there is a row already; servers
that do not know it (it came with Valkey 9 and Redis 8) refuse it for every row. Of what is refused, event
times are compared under ``WATCH``: the server refuses the whole of what follows if one of the keys has
changed since it was looked at. This costs the server half of what a script does that gets all values.
Whatever is refused then is written by a script, which compares and writes in one and so can't be refused
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import mmh3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine import resp
from feature_ops.feast.engine.event_times import encode_timestamps
from feature_ops.feast.engine.rows import EncodedRows
from feature_ops.feast.engine.wire import EMPTY, Ints, lengths_of, offsets_of

# The server does nothing else while it executes what was watched: a millisecond or two.
_ROWS_PER_PIECE = 100
_NEW_ROWS_PER_PIECE = 500
_BYTES_PER_PIECE = 1 << 20
# So many rows of a batch tell whether most of it is new.
_ROWS_TRIED = 100
# While one waits for its answer, the server works for the others.
_CONNECTIONS = 8
_CONNECTIONS_FOR_NEW = 2


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
    may_write_at_once: ClassVar[bool] = False
    wants_key_order: ClassVar[bool] = False

    def write(self, rows: EncodedRows) -> int:
        """
        Write rows; returns how many were no older than what was stored.

        :raises redis.RedisError: the server does not answer, or refuses.
        """
        batch = _Batch(self, rows)
        everything = np.arange(len(rows))
        with self._connections() as connections:
            # A key's expiry is set by a command of its own, which would reach refused rows, too.
            there = everything if self.expiry else _write_new(batch, everything, connections)
            written = _write_compared(batch, there, connections)
        return len(rows) - len(there) + written

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


def _write_new(batch: _Batch, rows: Ints, connections: Sequence[Any]) -> Ints:
    """Write the rows of which nothing is stored; returns the others."""
    there: list[Ints] = []

    def finish(turn: _NewTurn) -> None:
        there.append(turn.refused())

    tried, rest = rows[:_ROWS_TRIED], rows[_ROWS_TRIED:]
    first = _NewTurn(batch, connections[0], tried)
    finish(first)
    if 2 * len(there[0]) > len(tried):
        return np.concatenate([there[0], rest])
    turns: deque[_NewTurn] = deque()
    for number, piece in enumerate(batch.pieces(rest, _NEW_ROWS_PER_PIECE)):
        if len(turns) == _CONNECTIONS_FOR_NEW:
            finish(turns.popleft())
        turns.append(_NewTurn(batch, connections[number % _CONNECTIONS_FOR_NEW], piece))
    for turn in turns:
        finish(turn)
    return np.concatenate(there)


def _write_compared(batch: _Batch, rows: Ints, connections: Sequence[Any]) -> int:
    """Write the rows that are no older than what is stored; returns how many."""
    turns: list[_Turn | None] = [None] * len(connections)
    written = 0
    for number, piece in enumerate(batch.pieces(rows, _ROWS_PER_PIECE)):
        place = number % len(connections)
        before = turns[place]
        decided = before.decided() if before else b""
        connections[place].send_packed_command([decided, batch.watched(piece)])
        written += before.executed() if before else 0
        turns[place] = _Turn(batch, connections[place], piece)
    for turn in turns:
        if turn:
            turn.connection.send_packed_command([turn.decided()])
            written += turn.executed()
    return written


class _Batch:
    """Rows as commands."""

    def __init__(self, writer: ValkeyWriter, rows: EncodedRows) -> None:
        self._writer = writer
        self._times = encode_timestamps(rows.event_times)
        self._instants = rows.event_times
        self._keys = keys_of(rows, writer.project)
        self._time_field = b"_ts:" + writer.view.encode()
        self._fields = [self._time_field, *(field_of(writer.view, name) for name in rows.values)]
        self._values = [self._times, *rows.values.values()]
        self.commands_per_row = 2 if writer.expiry else 1

    def pieces(self, rows: Ints, most: int) -> Iterator[Ints]:
        """Yield the rows that are sent together: at most so many, and not many more bytes than a MB."""
        ends, start = np.cumsum(self._sizes[rows]), 0
        while start < len(rows):
            before = ends[start - 1] if start else 0
            fitting = int(np.searchsorted(ends, before + _BYTES_PER_PIECE, side="right"))
            end = min(max(fitting, start + 1), start + most, len(rows))
            yield rows[start:end]
            start = end

    def set_new(self, rows: Ints) -> bytes | memoryview:
        """Return the commands that write those of the rows of which nothing is stored."""
        return self._sets_of_new.of(rows)

    def watched(self, rows: Ints) -> bytes:
        """Return the commands that watch the rows' keys and ask for their event times."""
        watch = b"*%d\r\n$5\r\nWATCH\r\n" % (1 + len(rows))
        return b"".join([watch, self._key_bulks.of(rows), self._gets.of(rows)])

    def wanted(self, rows: Ints, stored: Sequence[bytes | None]) -> Ints:
        """Return the rows that are no older than what is stored."""
        times = self._times.take(pa.array(rows)).to_pylist()
        no_older = [
            old is None or old == new or int(self._instants[row]) * 1_000 >= _nanoseconds(old)
            for row, new, old in zip(rows, times, stored, strict=True)
        ]
        return rows[np.array(no_older, np.bool_)]

    def set(self, rows: Ints) -> bytes:
        """Return the commands that write rows if no key has changed that is watched."""
        if not len(rows):
            return resp.command(b"UNWATCH")
        return b"".join([resp.command(b"MULTI"), self._sets.of(rows), resp.command(b"EXEC")])

    @cached_property
    def _sizes(self) -> Ints:
        sizes: Ints = sum(map(lengths_of, self._values), lengths_of(self._keys))
        return sizes

    @cached_property
    def _key_bulks(self) -> _Records:
        return _Records(resp.bulks(self._keys))

    @cached_property
    def _gets(self) -> _Records:
        return _Records(resp.commands([b"HGET", self._keys, self._time_field]))

    @cached_property
    def _sets(self) -> _Records:
        sets = hset_commands(self._keys, self._fields, self._values)
        if self._writer.expiry:
            expire = resp.commands([b"EXPIRE", self._keys, b"%d" % self._writer.expiry])
            sets = pc.binary_join_element_wise(sets, expire, EMPTY)
        return _Records(sets)

    @cached_property
    def _sets_of_new(self) -> _Records:
        before = [b"FNX", b"FIELDS", b"%d" % len(self._fields)]
        pairs = _in_turn(self._fields, self._values)
        return _Records(resp.commands([b"HSETEX", self._keys, *before, *pairs]))

    def write_by_script(self, rows: Ints) -> int:
        """Compare and write rows in one; returns how many were written."""
        return int(
            self._writer.client.eval(
                _script(),
                len(rows),
                *(self._keys[row].as_py() for row in rows),
                *(len(self._fields), self._writer.expiry, *self._fields),
                *(column[row].as_py() for row in rows for column in self._values),
            )
        )


class _NewTurn:
    """Rows of which nothing may be stored, on one connection."""

    def __init__(self, batch: _Batch, connection: Any, rows: Ints) -> None:
        self._connection, self._rows = connection, rows
        connection.send_packed_command([batch.set_new(rows)])

    def refused(self) -> Ints:
        """
        Read the answers; returns the rows that were not written.

        An error is a refusal, too: that of a server that does not know the command, and of any other the
        next step will tell.
        """
        from redis.exceptions import ResponseError

        refused = np.ones(len(self._rows), np.bool_)
        for place in range(len(self._rows)):
            with suppress(ResponseError):
                refused[place] = self._connection.read_response() != 1
        return self._rows[refused]


class _Turn:
    """One piece on one connection, from the look at what is stored to the answer to what was written."""

    def __init__(self, batch: _Batch, connection: Any, piece: Ints) -> None:
        self.connection = connection
        self._batch, self._piece = batch, piece
        self._wanted: Ints = piece[:0]

    def decided(self) -> bytes:
        """Read what is stored; returns the commands that are to follow."""
        self.connection.read_response()
        # Feast's clients may be told to decode what they read, which bytes must not be.
        stored = [self.connection.read_response(disable_decoding=True) for _ in self._piece]
        self._wanted = self._batch.wanted(self._piece, stored)
        return self._batch.set(self._wanted)

    def executed(self) -> int:
        """Read the answers to those commands; returns how many rows were written."""
        self.connection.read_response()
        if not len(self._wanted):
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
        self._offsets: Ints = offsets_of(array)
        self._data = memoryview(array.buffers()[2] or b"")

    def of(self, rows: Ints) -> bytes | memoryview:
        """Return the records of the rows, which ascend, one after the other."""
        first, last = int(rows[0]), int(rows[-1])
        if last - first + 1 == len(rows):
            return self._data[self._offsets[first] : self._offsets[last + 1]]
        return b"".join(self._data[self._offsets[row] : self._offsets[row + 1]] for row in rows)


def keys_of(rows: EncodedRows, project: str) -> pa.LargeBinaryArray:
    """Return the keys of the hashes."""
    return pc.binary_join_element_wise(rows.keys, pa.scalar(project.encode(), pa.large_binary()), EMPTY)


def hset_commands(
    keys: pa.LargeBinaryArray, fields: Sequence[bytes], values: Sequence[pa.LargeBinaryArray]
) -> pa.LargeBinaryArray:
    """Return the command that writes each row, whatever is stored."""
    return resp.commands([b"HSET", keys, *_in_turn(fields, values)])


def _in_turn(
    fields: Sequence[bytes], values: Sequence[pa.LargeBinaryArray]
) -> Iterator[bytes | pa.LargeBinaryArray]:
    return chain.from_iterable(zip(fields, values, strict=True))


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

"""
Reads rows from a Redis-protocol store in one round trip.

Source of the layout: ``feast.infra.online_stores.redis`` of Feast 0.67. A row is a hash whose key is the
serialized entity key and the project's name. It holds each value under the first four bytes of the
murmur3 hash of ``view:feature``, and the event time under ``_ts:view``. So views with the same join keys
share a hash, and one command gets what all of them hold of a key.

Commands are packed and answers are parsed here: redis-py takes longer for either than the server for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import mmh3
from redis.exceptions import ConnectionError as ServerGoneError
from redis.exceptions import TimeoutError as ServerSlowError

from feature_ops.feast.reader.connections import HIREDIS_PARSER, UNDER_WAY, Connections
from feature_ops.feast.reader.decoding import decode_time
from feature_ops.feast.reader.rows import Row, Rows, Wanted
from feature_ops.feast.reader.spinning import AdaptiveSpin


class ValkeyReader:
    """
    Reads rows of some views.

    :param client: a client of redis-py that reaches one server.
    :param wanted: at least one view of each group of keys.
    """

    tells_missing = False

    def __init__(self, client: Any, project: str, wanted: Sequence[Wanted]) -> None:
        self._connections, self._project = Connections(client.connection_pool), project.encode()
        self._spin = AdaptiveSpin()
        self._groups = [
            _Group([item for item in wanted if item.group == group])
            for group in range(1 + max(item.group for item in wanted))
        ]
        # Where each view's values begin among those of its group, and where its time is.
        starts = [self._groups[item.group].places[item] for item in wanted]
        self._places = [
            (item.group, start, start + len(item.features))
            for item, start in zip(wanted, starts, strict=True)
        ]

    def read(self, keys: Sequence[Sequence[bytes]]) -> list[Rows] | None:
        """
        Return the rows of each view that is wanted.

        None if the server does not answer as it should: Feast asks again then, and tells what is wrong.

        :param keys: entity keys of each group.
        """
        commands: list[bytes] = []
        asked: list[Sequence[bytes]] = []
        project = self._project
        for group, given in zip(self._groups, keys, strict=True):
            unique = list(dict.fromkeys(given)) if len(given) > 1 else given
            asked.append(unique)
            commands += [group.command(key + project) for key in unique]
        found = self._exchange(b"".join(commands), len(commands))
        if found is None:
            return None
        columns, start = [], 0
        for given, unique in zip(keys, asked, strict=True):
            rows = found[start : start + len(unique)]
            start += len(unique)
            if len(unique) < len(given):
                by_key = dict(zip(unique, rows, strict=True))
                rows = [by_key[key] for key in given]
            columns.append(list(zip(*rows, strict=True)))
        return [Rows(columns[group][start:end], columns[group][end]) for group, start, end in self._places]

    def read_one(self, keys: Sequence[bytes]) -> list[Row] | None:
        """
        Return the row of each view that is wanted, as ``read`` does.

        :param keys: an entity key of each group.
        """
        project = self._project
        commands = [group.command(key + project) for group, key in zip(self._groups, keys, strict=True)]
        found = self._exchange(b"".join(commands), len(commands))
        if found is None:
            return None
        return [Row(found[group][start:end], found[group][end]) for group, start, end in self._places]

    def decode_time(self, time: bytes | None) -> datetime:
        """Return a time of the rows."""
        return decode_time(time)

    def _exchange(self, commands: bytes, count: int) -> list[Any] | None:
        connection = None
        try:
            connection = self._connections.take()
            connection.send_packed_command([commands])
            answers = _answers(connection, count, self._spin if self._connections.is_one_taken() else None)
            if set(map(type, answers)) == {list}:
                return answers
            # An error, or a notification in between: the next answer would not be that of the next command.
            connection.disconnect()
        except (ServerGoneError, ServerSlowError, OSError):
            if connection is not None:
                connection.disconnect()
        except BaseException:
            if connection is not None:
                connection.disconnect()
            raise
        finally:
            if connection is not None:
                self._connections.give_back(connection)
        return None


def _answers(connection: Any, count: int, spin: AdaptiveSpin | None) -> list[Any]:
    """
    Read answers as bytes, whatever the client is told to decode.

    :param spin: None where other threads have better use for the processor than waiting awake.
    """
    parser: Any = getattr(connection, "_parser", None)
    if type(parser) is not HIREDIS_PARSER:
        return [connection.read_response(disable_decoding=True) for _ in range(count)]
    # As its read_response does for each answer, without what is done around it.
    answers: list[Any] = []
    next_answer, pending = parser._reader.gets, UNDER_WAY
    while len(answers) < count:
        answer = next_answer(False)
        if answer is pending:
            if spin is None or not spin.data_came(parser):
                parser.read_from_socket()
        else:
            answers.append(answer)
    return answers


class _Group:
    """Views that are looked up by the same keys."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        fields: list[bytes] = []
        self.places: dict[Wanted, int] = {}
        for item in wanted:
            self.places[item] = len(fields)
            fields += [_field(item.view, feature) for feature in item.features]
            fields.append(b"_ts:" + item.view.encode())
        self._head = b"*%d\r\n$5\r\nHMGET\r\n$" % (2 + len(fields))
        self._tail = b"\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(field), field) for field in fields)

    def command(self, key: bytes) -> bytes:
        return b"%b%d\r\n%b%b" % (self._head, len(key), key, self._tail)


def _field(view: str, feature: str) -> bytes:
    return mmh3.hash(f"{view}:{feature}", signed=False).to_bytes(4, "little")

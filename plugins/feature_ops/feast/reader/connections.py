"""
Connections of a pool of redis-py, taken and given back at a quarter of the cost.

``ConnectionPool.get_connection`` and ``release`` of redis-py 7 count and announce what they do, which takes
as long as the server's answer to one command. Where the pool is the plain one, its lists are used as it uses
them; any other pool, and a connection that is not ready, goes through redis-py.
"""

from __future__ import annotations

import select
import socket
from typing import Any

from redis.connection import ConnectionPool


def _hiredis() -> tuple[Any, Any]:
    try:
        from redis._parsers.hiredis import NOT_ENOUGH_DATA, _HiredisParser
    except ImportError:  # a redis-py that has them elsewhere; it reads its answers itself then
        return object, object()
    return _HiredisParser, NOT_ENOUGH_DATA


# redis-py's parser on top of hiredis, and what it takes for an answer that is still under way.
HIREDIS_PARSER, UNDER_WAY = _hiredis()
_PRIVATE = ("_checkpid", "_available_connections", "_in_use_connections")


class Connections:
    """
    Takes connections from a pool.

    :param pool: the pool of a client of redis-py.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._taken: set[Any] = set()
        self._is_plain = (
            type(pool) is ConnectionPool
            and all(hasattr(pool, name) for name in _PRIVATE)
            and hasattr(pool.connection_class, "should_reconnect")
        )

    def take(self) -> Any:
        """
        Return a connection that is ready for a command.

        :raises redis.RedisError: the server does not answer, or the pool has no connection left.
        """
        connection = self._ready()
        self._taken.add(connection)
        return connection

    def _ready(self) -> Any:
        pool = self._pool
        if self._is_plain:
            # After a fork, the pool forgets its parent's connections here.
            pool._checkpid()
            try:
                connection = pool._available_connections.pop()
            except IndexError:
                return pool.get_connection()
            if _is_ready(connection):
                pool._in_use_connections.add(connection)
                return connection
            # The next one that the pool takes, which it connects anew.
            pool._available_connections.append(connection)
        return pool.get_connection()

    def is_one_taken(self) -> bool:
        """Whether no more than one connection was taken here and not given back."""
        return len(self._taken) <= 1

    def give_back(self, connection: Any) -> None:
        """Return a connection to the pool; all answers have been read, or it is disconnected."""
        pool = self._pool
        self._taken.discard(connection)
        if self._is_plain and connection.pid == pool.pid and not connection.should_reconnect():
            pool._in_use_connections.discard(connection)
            pool._available_connections.append(connection)
        else:
            pool.release(connection)


def _is_ready(connection: Any) -> bool:
    """Whether the connection is open, with nothing left to read that would pass for the next answer."""
    opened, parser = getattr(connection, "_sock", None), getattr(connection, "_parser", None)
    if type(opened) is not socket.socket or not _is_empty(parser):
        return False
    readable = select.poll()
    readable.register(opened, select.POLLIN)
    # What is at its end can be read, too.
    return not readable.poll(0)


def _is_empty(parser: Any) -> bool:
    """Whether a parser has handed out all that it has read; only that of hiredis tells it for nothing."""
    return (
        type(parser) is HIREDIS_PARSER
        and getattr(parser, "_next_response", None) is UNDER_WAY
        and not parser._reader.has_data()
    )

"""One writer at a time: a lock in the PostgreSQL database that holds Feast's registry."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from feature_ops.database import database_failures
from feature_ops.exceptions import FeatureOpsError

log = logging.getLogger(__name__)


def lock_key(name: str) -> int:
    """Return the signed 64-bit number under which PostgreSQL knows the lock of that name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def advisory_lock(database_url: str, name: str, timeout: float) -> Iterator[None]:
    """
    Hold the lock of that name while the block runs; the server frees it when its holder dies.

    :param database_url: SQLAlchemy URL. Other databases than PostgreSQL have no such lock: there
        the pool's one slot is all, and a log line says so.
    :param name: what is locked, such as ``feast:music``.
    :param timeout: seconds to wait before a :class:`FeatureOpsError`.
    :raises DatabaseError: the database failed, here or in the block.
    """
    if not database_url.startswith("postgresql"):
        log.warning("No advisory lock on %s: only the pool serializes writers", database_url.split(":")[0])
        yield
        return
    import psycopg
    from sqlalchemy.engine import make_url

    url = make_url(database_url).set(drivername="postgresql")
    key = lock_key(name)
    with (
        database_failures(database_url),
        psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection,
    ):
        _acquire(connection, key, name, timeout)
        try:
            yield
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", [key])


def _acquire(connection: object, key: int, name: str, timeout: float) -> None:
    import psycopg

    assert isinstance(connection, psycopg.Connection)
    deadline = time.monotonic() + timeout
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{int(timeout * 1000)}ms"])
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
    except psycopg.errors.LockNotAvailable:
        waited = timeout - max(0.0, deadline - time.monotonic())
        raise FeatureOpsError(
            f"the lock {name!r} was held by another writer for {waited:.0f} s; "
            "try again when it is done, or raise FEATURE_OPS_LOCK_TIMEOUT"
        ) from None

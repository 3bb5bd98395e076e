"""What an online store that does not play along means to a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feature_ops.exceptions import BadInputError, FeatureOpsError


class OnlineStoreError(FeatureOpsError):
    """The online store did not do its part; a later try may find it well."""


class OnlineStoreRefusedError(OnlineStoreError, BadInputError):
    """The online store knows the account not, or does not let it do this."""


# By the name of the client's exception, the more special ones first.
_MEANINGS: tuple[tuple[str, type[OnlineStoreError], str], ...] = (
    (
        "NoPermissionError",
        OnlineStoreRefusedError,
        "does not let the account do this: allow it to read and to write there, or name another one in the "
        "Feast connection (FEAST_ONLINE_STORE)",
    ),
    (
        "AuthenticationError",
        OnlineStoreRefusedError,
        "does not accept the sign-in: correct user name and password in the Feast connection "
        "(FEAST_ONLINE_STORE)",
    ),
    (
        "AuthenticationWrongNumberOfArgsError",
        OnlineStoreRefusedError,
        "does not accept the sign-in: correct user name and password in the Feast connection "
        "(FEAST_ONLINE_STORE)",
    ),
    (
        "OutOfMemoryError",
        OnlineStoreError,
        "is full: raise its maxmemory or remove what is not needed, then try again",
    ),
    (
        "ReadOnlyError",
        OnlineStoreError,
        "is a read-only replica: name the primary in the Feast connection (FEAST_ONLINE_STORE), or wait "
        "until this one is promoted, then try again",
    ),
    ("BusyLoadingError", OnlineStoreError, "is still loading its data: try again later"),
    ("TimeoutError", OnlineStoreError, "does not answer in time: check that it runs, then try again"),
    (
        "ConnectionError",
        OnlineStoreError,
        "cannot be reached: check that it runs and can be reached from the worker, then try again",
    ),
    (
        "ResponseError",
        OnlineStoreError,
        "refuses the command: see its own log (is its disk full?), then try again",
    ),
)


@contextmanager
def online_store_failures(online_config: Any) -> Iterator[None]:
    """
    Raise failures of a Redis-protocol store as an :class:`OnlineStoreError` that names it.

    Not with the client's own words: they repeat the command with the values.

    :param online_config: Feast's configuration of the online store.
    """
    try:
        yield
    except Exception as error:
        told = _told(error, online_config)
        if told is None:
            raise
        raise told from None


def _told(error: BaseException, online_config: Any) -> OnlineStoreError | None:
    # A client that was not imported raised nothing.
    client = sys.modules.get("redis.exceptions")
    cause: BaseException | None = error
    while client is not None and cause is not None:
        for name, kind, meaning in _MEANINGS:
            if isinstance(cause, getattr(client, name, ())):
                return kind(f"the online store {_address(online_config)} {meaning}")
        cause = cause.__cause__
    return None


def _address(online_config: Any) -> str:
    """Return where the store is: the connection string without its options, one of which is the password."""
    text = str(getattr(online_config, "connection_string", ""))
    return ", ".join(part for part in text.split(",") if "=" not in part)

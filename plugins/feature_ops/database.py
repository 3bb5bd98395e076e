"""What a database that does not play along means to a person."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from feature_ops.exceptions import BadInputError, FeatureOpsError

# What only a person can change, in the server's own words.
_REFUSALS = re.compile(
    r"password authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in"
    r'|(database|role) ".*" does not exist|permission denied'
)


class DatabaseError(FeatureOpsError):
    """The database did not do its part; a later try may find it well."""


class DatabaseRefusedError(DatabaseError, BadInputError):
    """The database knows the account not, or there is no such database."""


@contextmanager
def database_failures(database_url: str) -> Iterator[None]:
    """
    Raise failures to reach a database as a :class:`DatabaseError` that names it, without its password.

    :param database_url: its SQLAlchemy URL.
    """
    try:
        yield
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise _told(database_url, reason) from None


def _told(database_url: str, reason: str) -> DatabaseError:
    from sqlalchemy.engine import make_url

    url = make_url(database_url)
    where = f"the registry's database {url.host or ''}{f':{url.port}' if url.port else ''}/{url.database}"
    if url.password:
        reason = reason.replace(url.password, "***")
    if _REFUSALS.search(reason):
        return DatabaseRefusedError(
            f"{where} refuses us ({reason}): correct the registry's URL in the Feast connection, "
            "such as FEAST_REGISTRY_URL in its extra.environment, or create what is missing"
        )
    return DatabaseError(
        f"{where} does not answer as it should ({reason}): check that it runs and can be reached from "
        "the worker; then try again"
    )


def _reason(error: BaseException) -> str | None:
    """Return in one line what the database's driver said; None if it was not the database."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if _is_operational(cause):
            # SQLAlchemy's own text repeats the statement.
            said = str(getattr(cause, "orig", None) or cause).strip()
            return re.sub(r"^.*?(FATAL|ERROR):\s*", "", " ".join(said.split("\n", 1)[0].split()))[:200]
        cause = cause.__cause__
    return None


def _is_operational(error: BaseException) -> bool:
    """Whether the error is one of server or network. A driver that was not imported raised none."""
    found = [
        kind
        for module in ("sqlalchemy.exc", "psycopg")
        if (kind := getattr(sys.modules.get(module), "OperationalError", None)) is not None
    ]
    return isinstance(error, tuple(found))

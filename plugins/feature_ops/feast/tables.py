"""The package's own tables, which live beside Feast's registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table


def open_engine(database_url: str) -> Engine:
    """Return an engine that keeps no connection and never shows values in an error."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(database_url, poolclass=NullPool, hide_parameters=True)


def create_missing(table: Table, engine: Engine) -> Table:
    """Create a table unless it is there, and return it."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import DBAPIError

    try:
        table.create(engine, checkfirst=True)
    except DBAPIError:
        # Two that create it at once: the slower one finds it there.
        if not inspect(engine).has_table(table.name):
            raise
    return table

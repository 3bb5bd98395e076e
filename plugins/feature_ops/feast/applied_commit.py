"""
Which commit's definitions the registry holds.

Kept among the project's metadata in Feast's own registry: it goes where the registry goes, and ends
when the project is deleted. Read without Feast, whose import takes seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from feature_ops.database import database_failures
from feature_ops.feast.tables import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection, Delete, Engine, Table

_APPLIED = "feature_ops_applied_commit"
_BEGUN = "feature_ops_begun_commit"
_DUMP = "feature_ops_dump_before_apply"


@dataclass(frozen=True)
class AppliedState:
    """
    Where the registry stands.

    :param applied: the commit that was applied last; None if none ever was by this package.
    :param begun: a commit whose apply began and did not end.
    :param applied_at: when it was applied, seconds since 1970; distinguishes two applies of the same commit.
    """

    applied: str | None = None
    begun: str | None = None
    applied_at: int | None = None


class AppliedCommit:
    """
    The note of one project.

    :param registry_url: SQLAlchemy URL of Feast's registry.
    """

    def __init__(self, registry_url: str, project: str) -> None:
        self._url, self._project = registry_url, project

    def state(self) -> AppliedState:
        """Return where the registry stands; nothing is known of one that Feast has not made yet."""
        from sqlalchemy import inspect

        with database_failures(self._url), self._engine.connect() as connection:
            if not inspect(connection).has_table(self._table.name):
                return AppliedState()
            rows = connection.execute(
                self._table.select().where(
                    self._table.c.project_id == self._project,
                    self._table.c.metadata_key.in_([_APPLIED, _BEGUN]),
                )
            ).all()
        found = {row.metadata_key: row.metadata_value for row in rows}
        times = {row.metadata_key: int(row.last_updated_timestamp) for row in rows}
        return AppliedState(found.get(_APPLIED), found.get(_BEGUN), times.get(_APPLIED))

    def begin(self, commit: str, dump_uri: str = "") -> str:
        """
        Note that a commit is being applied: until :meth:`finish` the registry may be between two.

        :param dump_uri: the registry as it is now.
        :return: the registry to go back to: as it was before the first apply that has not ended since.
        """
        with database_failures(self._url), self._engine.begin() as connection:
            earlier = self._values(connection)
            kept = earlier.get(_DUMP, "") if _BEGUN in earlier else ""
            self._set(connection, _BEGUN, commit)
            self._set(connection, _DUMP, kept or dump_uri)
        return kept or dump_uri

    def finish(self, commit: str) -> None:
        """Note that a commit is applied, all of it."""
        with database_failures(self._url), self._engine.begin() as connection:
            self._set(connection, _APPLIED, commit)
            self._forget(connection)

    def undone(self) -> None:
        """Note that the registry is again what it was before the apply began."""
        with database_failures(self._url), self._engine.begin() as connection:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        for key in (_BEGUN, _DUMP):
            connection.execute(self._row(key))

    def _values(self, connection: Connection) -> dict[str, str]:
        query = self._table.select().where(self._table.c.project_id == self._project)
        return {row.metadata_key: row.metadata_value for row in connection.execute(query)}

    def _set(self, connection: Connection, key: str, commit: str) -> None:
        connection.execute(self._row(key))
        connection.execute(
            self._table.insert().values(
                project_id=self._project,
                metadata_key=key,
                metadata_value=commit,
                last_updated_timestamp=int(time.time()),
            )
        )

    def _row(self, key: str) -> Delete:
        table = self._table
        return table.delete().where(table.c.project_id == self._project, table.c.metadata_key == key)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._url)

    @cached_property
    def _table(self) -> Table:
        # Feast's, as its SQL registry creates it.
        from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text

        return Table(
            "feast_metadata",
            MetaData(),
            Column("project_id", String(255), primary_key=True),
            Column("metadata_key", String(50), primary_key=True),
            Column("metadata_value", Text, nullable=False),
            Column("last_updated_timestamp", BigInteger, nullable=False),
        )


def applied_commit() -> str | None:
    """Return the commit that is applied to the deployment's feature store, for a watcher to start from."""
    from feature_ops.feast.hook import FeastHook

    hook = FeastHook()
    return AppliedCommit(hook.registry_url(), hook.project()).state().applied

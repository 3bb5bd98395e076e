"""
The ledger: which files of a dataset's history are online, and under which definition of their view.

Tables beside Feast's registry. Feast itself only keeps intervals of event time, and those can't
tell that a row with an old event time came late, or that a feature is newer than what was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from feature_ops.feast.tables import create_missing, open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

TABLE = "feature_ops_online_files"
DEFINITIONS_TABLE = "feature_ops_online_views"


@dataclass(frozen=True)
class FileSpan:
    """
    The rows of one file of the history.

    :param name: the file's name.
    :param rows: how many there are.
    :param first_event: their earliest event time, in UTC; None if there are no rows.
    :param last_event: their latest.
    """

    name: str
    rows: int
    first_event: datetime | None
    last_event: datetime | None


@dataclass(frozen=True)
class OnlineFile(FileSpan):
    """A file of the history whose rows are online, and the run that brought them there."""

    run_id: str
    materialized_at: datetime


class Ledger:
    """
    The ledger in one database.

    :param database_url: SQLAlchemy URL of the registry's database: PostgreSQL or SQLite.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def online(self, project: str, view: str) -> dict[str, OnlineFile]:
        """Return the files whose rows a feature view has online, by name."""
        table = self._table
        wanted = table.select().where(table.c.project == project, table.c.feature_view == view)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.order_by(table.c.materialized_at, table.c.file_name)).all()
        return {
            row.file_name: OnlineFile(
                name=row.file_name,
                rows=row.rows,
                first_event=_utc(row.first_event) if row.first_event else None,
                last_event=_utc(row.last_event) if row.last_event else None,
                run_id=row.run_id,
                materialized_at=_utc(row.materialized_at),
            )
            for row in rows
        }

    def definition(self, project: str, view: str) -> str | None:
        """Return the definition under which the view's rows were written; None if none was noted."""
        table = self._definitions
        wanted = table.select().where(table.c.project == project, table.c.feature_view == view)
        with self._engine.connect() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else str(row.definition)

    def record(
        self,
        project: str,
        view: str,
        files: Iterable[FileSpan],
        run_id: str,
        definition: str | None = None,
        absent: Iterable[str] = (),
    ) -> None:
        """
        Note that files are online: all of them or none.

        :param definition: the view's definition under which all its rows are online now.
        :param absent: names of files whose rows are not online under that definition.
        """
        now = self.now()
        notes = [
            {
                "project": project,
                "feature_view": view,
                "file_name": file.name,
                "rows": file.rows,
                "first_event": file.first_event,
                "last_event": file.last_event,
                "run_id": run_id,
                "materialized_at": now,
            }
            for file in files
        ]
        from sqlalchemy import bindparam

        table, definitions = self._table, self._definitions
        same = table.delete().where(
            table.c.project == project,
            table.c.feature_view == view,
            table.c.file_name == bindparam("same_name"),
        )
        earlier = definitions.delete().where(
            definitions.c.project == project, definitions.c.feature_view == view
        )
        outdated = [*(note["file_name"] for note in notes), *absent]
        with self._engine.begin() as connection:
            if outdated:
                connection.execute(same, [{"same_name": name} for name in outdated])
            if notes:
                connection.execute(table.insert(), notes)
            if definition is not None:
                connection.execute(earlier)
                connection.execute(
                    definitions.insert().values(project=project, feature_view=view, definition=definition)
                )

    def forget(self, project: str, view: str) -> None:
        """Take it that a feature view has nothing online."""
        table = self._table
        whole = table.delete().where(table.c.project == project, table.c.feature_view == view)
        with self._engine.begin() as connection:
            connection.execute(whole)

    def now(self) -> datetime:
        """
        Return the time by the clock that all writers share: the database's.

        Workers' clocks differ, and one that is behind would end its window before a new row.
        """
        from sqlalchemy import func, select

        # SQLite's clock is this host's and counts whole seconds.
        if self._engine.dialect.name == "sqlite":
            return datetime.now(UTC)
        with self._engine.connect() as connection:
            return _utc(connection.execute(select(func.now())).scalar_one())

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._url)

    @cached_property
    def _table(self) -> Table:
        from sqlalchemy import BigInteger, Column, DateTime, MetaData, String, Table

        moment = DateTime(timezone=True)
        table = Table(
            TABLE,
            MetaData(),
            Column("project", String(255), primary_key=True),
            Column("feature_view", String(255), primary_key=True),
            Column("file_name", String(255), primary_key=True),
            Column("rows", BigInteger, nullable=False),
            Column("first_event", moment),
            Column("last_event", moment),
            Column("run_id", String(255), nullable=False),
            Column("materialized_at", moment, nullable=False),
        )
        return create_missing(table, self._engine)

    @cached_property
    def _definitions(self) -> Table:
        from sqlalchemy import Column, MetaData, String, Table, Text

        table = Table(
            DEFINITIONS_TABLE,
            MetaData(),
            Column("project", String(255), primary_key=True),
            Column("feature_view", String(255), primary_key=True),
            Column("definition", Text, nullable=False),
        )
        return create_missing(table, self._engine)


def _utc(moment: datetime) -> datetime:
    # SQLite keeps no zone; what was written is UTC.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

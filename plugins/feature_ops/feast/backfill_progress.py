"""How far the writing of a view's history has come, so that another worker goes on from there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from feature_ops.feast.tables import create_missing, open_engine

if TYPE_CHECKING:
    from sqlalchemy import Delete, Engine, Table

TABLE = "feature_ops_begun_backfills"


class Cut(StrEnum):
    """What a shard is: some of the keys, or some rows of the files in their order."""

    KEYS = "keys"
    ROWS = "rows"


@dataclass(frozen=True)
class Backfill:
    """
    One writing of files of a view's history, cut into shards.

    :param begun_by: the run that began it.
    :param cut: how it is cut.
    :param definition: the view's definition that is written.
    :param files: names of the files that were there when it began.
    :param shards: how many shards there are.
    :param done: how many of them, from the first, are online.
    """

    begun_by: str
    cut: Cut
    definition: str
    files: tuple[str, ...]
    shards: int
    done: int


class BackfillProgress:
    """
    The unfinished backfills of one database.

    :param database_url: SQLAlchemy URL of the registry's database.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def unfinished(self, project: str, view: str) -> Backfill | None:
        """Return the view's unfinished backfill."""
        table = self._table
        wanted = table.select().where(table.c.project == project, table.c.feature_view == view)
        with self._engine.connect() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return None
        files = tuple(json.loads(row.files))
        return Backfill(row.begun_by, Cut(row.cut), row.definition, files, row.shards, row.done)

    def begin(self, project: str, view: str, backfill: Backfill) -> Backfill:
        """Note that one begins, in place of another that was not finished, and return it."""
        table = self._table
        with self._engine.begin() as connection:
            connection.execute(self._row(project, view))
            connection.execute(
                table.insert().values(
                    project=project,
                    feature_view=view,
                    begun_by=backfill.begun_by,
                    cut=str(backfill.cut),
                    definition=backfill.definition,
                    files=json.dumps(backfill.files),
                    shards=backfill.shards,
                    done=backfill.done,
                )
            )
        return backfill

    def advance(self, project: str, view: str, done: int) -> None:
        """Note that so many shards are online."""
        table = self._table
        step = table.update().where(table.c.project == project, table.c.feature_view == view)
        with self._engine.begin() as connection:
            connection.execute(step.values(done=done))

    def finish(self, project: str, view: str) -> None:
        """Note that there is none any more."""
        with self._engine.begin() as connection:
            connection.execute(self._row(project, view))

    def _row(self, project: str, view: str) -> Delete:
        table = self._table
        return table.delete().where(table.c.project == project, table.c.feature_view == view)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._url)

    @cached_property
    def _table(self) -> Table:
        from sqlalchemy import Column, Integer, MetaData, String, Table, Text

        table = Table(
            TABLE,
            MetaData(),
            Column("project", String(255), primary_key=True),
            Column("feature_view", String(255), primary_key=True),
            Column("begun_by", Text, nullable=False),
            Column("cut", String(16), nullable=False),
            Column("definition", Text, nullable=False),
            Column("files", Text, nullable=False),
            Column("shards", Integer, nullable=False),
            Column("done", Integer, nullable=False),
        )
        return create_missing(table, self._engine)

"""
Reads rows from PostgreSQL, all views in one statement.

Source of the layout: ``feast.infra.online_stores.postgres_online_store`` of Feast 0.67, a table per view
with a row per entity key and feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from feature_ops.feast.reader.rows import Row, Rows, Wanted
from feature_ops.feast.reader.tables import Cell, columns_of, one_of_each


class PostgresReader:
    """
    Reads rows of some views.

    :param store: Feast's store, whose connections are used.
    :param tables: the table of each view.
    """

    tells_missing = True

    def __init__(self, store: Any, config: Any, tables: Sequence[str], wanted: Sequence[Wanted]) -> None:
        self._store, self._config, self._wanted = store, config, wanted
        self._query = _query(tables)

    def read(self, keys: Sequence[Sequence[bytes]]) -> list[Rows]:
        """
        Return the rows of each view that is wanted.

        :param keys: entity keys of each group.
        :raises psycopg.Error: the server does not answer, or has no such table.
        """
        given = [list(dict.fromkeys(of_group)) for of_group in keys]
        parameters: list[Any] = []
        for item in self._wanted:
            parameters += [given[item.group], list(item.features)]
        with (
            self._store._get_conn(self._config, autocommit=True) as connection,
            connection.cursor(binary=True) as cursor,
        ):
            cursor.execute(self._query, parameters)
            rows = cursor.fetchall()
        return [
            columns_of(cells, keys[item.group], item.features)
            for cells, item in zip(self._by_view(rows), self._wanted, strict=True)
        ]

    def read_one(self, keys: Sequence[bytes]) -> list[Row]:
        """Return the row of each view that is wanted, as ``read`` does."""
        return one_of_each(self.read([[key] for key in keys]))

    def decode_time(self, time: datetime | None) -> datetime | None:
        """Return a time of the rows."""
        if time is None:
            return None
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)

    def _by_view(self, rows: list[Any]) -> list[list[Cell]]:
        if len(self._wanted) == 1:
            return [rows]
        found: list[list[Cell]] = [[] for _ in self._wanted]
        for key, feature, value, time, number in rows:
            found[number].append((key, feature, value, time))
        return found


def _query(tables: Sequence[str]) -> sql.Composed:
    """Return the statement; its rows end with the number of their table if there are several."""
    where = " FROM {table} WHERE entity_key = ANY(%s) AND feature_name = ANY(%s)"
    one = sql.SQL("SELECT entity_key, feature_name, value, event_ts" + where)
    if len(tables) == 1:
        return one.format(table=sql.Identifier(tables[0]))
    numbered = sql.SQL("SELECT entity_key, feature_name, value, event_ts, {number}" + where)
    return sql.SQL(" UNION ALL ").join(
        numbered.format(number=sql.Literal(number), table=sql.Identifier(table))
        for number, table in enumerate(tables)
    )

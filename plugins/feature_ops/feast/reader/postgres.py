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

from feature_ops.feast.reader.rows import Row, Rows, Wanted, one_of_each
from feature_ops.feast.reader.tables import Found


class PostgresReader:
    """
    Reads rows of some views.

    :param store: Feast's store, whose connections are used.
    :param tables: the table of each view.
    """

    tells_missing = True

    def __init__(self, store: Any, config: Any, tables: Sequence[str], wanted: Sequence[Wanted]) -> None:
        self._store, self._config, self._wanted = store, config, wanted
        select = sql.SQL(
            "SELECT {number}, entity_key, feature_name, value, event_ts FROM {table}"
            " WHERE entity_key = ANY(%s) AND feature_name = ANY(%s)"
        )
        self._query = sql.SQL(" UNION ALL ").join(
            select.format(number=sql.Literal(number), table=sql.Identifier(table))
            for number, table in enumerate(tables)
        )

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
        found = [Found() for _ in self._wanted]
        for number, key, feature, value, time in rows:
            found[number].add(key, feature, value, time)
        return [
            part.rows(keys[item.group], item.features) for part, item in zip(found, self._wanted, strict=True)
        ]

    def read_one(self, keys: Sequence[bytes]) -> list[Row]:
        """Return the row of each view that is wanted, as ``read`` does."""
        return one_of_each(self.read([[key] for key in keys]))

    def decode_time(self, time: datetime | None) -> datetime | None:
        """Return a time of the rows."""
        if time is None:
            return None
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)

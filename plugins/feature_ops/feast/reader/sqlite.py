"""
Reads rows from SQLite, a statement for each view.

Source of the layout: ``feast.infra.online_stores.sqlite`` of Feast 0.67, a table per view with a row per
entity key and feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from feature_ops.feast.reader.rows import Row, Rows, Wanted
from feature_ops.feast.reader.tables import columns_of, one_of_each


class SqliteReader:
    """
    Reads rows of some views.

    :param store: Feast's store, whose connection is used.
    :param tables: the table of each view.
    """

    tells_missing = True

    def __init__(self, store: Any, config: Any, tables: Sequence[str], wanted: Sequence[Wanted]) -> None:
        self._store, self._config, self._wanted = store, config, wanted
        # All features, since Feast takes the event time of the last one, be it asked for or not. Times come
        # as they are stored: the connection would convert every one, of which one in a row is needed.
        self._queries = [
            "SELECT entity_key, feature_name, value, CAST(event_ts AS BLOB)"  # noqa: S608 - a quoted name
            f' FROM "{table.replace(chr(34), chr(34) * 2)}" WHERE entity_key IN ('
            for table in tables
        ]

    def read(self, keys: Sequence[Sequence[bytes]]) -> list[Rows]:
        """
        Return the rows of each view that is wanted.

        :param keys: entity keys of each group.
        :raises sqlite3.Error: the database can't be read, or has no such table.
        """
        connection = self._store._get_conn(self._config)
        given = [list(dict.fromkeys(of_group)) for of_group in keys]
        answer = []
        for query, item in zip(self._queries, self._wanted, strict=True):
            asked = given[item.group]
            statement = f"{query}{','.join('?' * len(asked))}) ORDER BY entity_key"
            cells = connection.execute(statement, asked)
            answer.append(columns_of(cells, keys[item.group], item.features))
        return answer

    def read_one(self, keys: Sequence[bytes]) -> list[Row]:
        """Return the row of each view that is wanted, as ``read`` does."""
        return one_of_each(self.read([[key] for key in keys]))

    def decode_time(self, time: bytes | None) -> datetime | None:
        """Return a time of the rows."""
        from feast.infra.online_stores.sqlite import convert_timestamp

        if time is None:
            return None
        moment: datetime = convert_timestamp(time)
        return moment.replace(tzinfo=UTC)

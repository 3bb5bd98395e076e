"""Feast's own online stores on the real servers, and what they hold, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.utils import _convert_arrow_to_proto

from demo.servers import Servers
from feature_ops.feast.engine.online_stores import keeps_texts, opened_writer
from feature_ops.feast.engine.rows import CREATED_TIME, EVENT_TIME, RowEncoder

PROJECT = "music"


@dataclass
class Held:
    """One online store."""

    config: RepoConfig

    def __post_init__(self) -> None:
        self.store: Any = get_online_store_from_config(self.config.online_store)

    def prepare(self, view: FeatureView) -> None:
        """Make the view's table where the store has tables."""
        self.store.update(self.config, [], [view], [], [], False)

    def clear(self, view: FeatureView) -> None:
        kind = self.config.online_store.type
        if kind == "redis":
            self.store._get_client(self.config.online_store).flushdb()
        elif kind == "postgres":
            with self.store._get_conn(self.config) as connection:
                connection.execute(f'DELETE FROM "{PROJECT}_{view.name}"')
                connection.commit()
        else:
            with self.store._get_conn(self.config) as connection:
                connection.execute(f'DELETE FROM "{PROJECT}_{view.name}"')

    def content(self, view: FeatureView) -> Any:
        """Everything that the store holds of the view."""
        kind = self.config.online_store.type
        if kind == "redis":
            client = self.store._get_client(self.config.online_store)
            return {key: client.hgetall(key) for key in client.scan_iter()}
        query = f'SELECT * FROM "{PROJECT}_{view.name}" ORDER BY entity_key, feature_name'
        with self.store._get_conn(self.config) as connection:
            rows = connection.execute(query).fetchall()
            if kind == "postgres":
                connection.commit()
        return [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows
        ]

    def write_as_feast(self, view: FeatureView, rows: pa.RecordBatch) -> None:
        types = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
        data = _convert_arrow_to_proto(rows, view, types)
        self.store.online_write_batch(self.config, view, data, lambda count: None)

    def write(self, view: FeatureView, rows: pa.RecordBatch) -> int:
        """Write with the engine's writer; the names of the time columns are the source's."""
        source = view.batch_source
        assert source is not None
        named = {source.timestamp_field: EVENT_TIME, source.created_timestamp_column: CREATED_TIME}
        columns = {
            named.get(name, name): column for name, column in zip(rows.schema.names, rows, strict=True)
        }
        encoder = RowEncoder(
            {column.name: column.dtype.to_value_type().name for column in view.entity_columns},
            {feature.name: feature.dtype.to_value_type().name for feature in view.features},
            keeps_texts(self.store),
        )
        with opened_writer(self.store, self.config, view) as writer:
            return writer.write(encoder.encode(pa.record_batch(columns)))


def on_valkey(servers: Servers, **settings: Any) -> Held:
    return Held(
        _config({"type": "redis", "connection_string": servers.valkey.admin_connection_string, **settings})
    )


def on_postgres(url: str, **settings: Any) -> Held:
    parts = urlsplit(url)
    address = {
        "type": "postgres",
        "host": parts.hostname,
        "port": parts.port,
        "database": parts.path.lstrip("/"),
        "db_schema": "public",
        "user": parts.username,
        "password": parts.password,
        "sslmode": "disable",
    }
    return Held(_config({**address, **settings}))


def on_sqlite(folder: Path, **settings: Any) -> Held:
    return Held(_config({"type": "sqlite", "path": str(folder / "online.db"), **settings}))


def _config(online_store: dict[str, Any]) -> RepoConfig:
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry="unused.db",
        online_store=online_store,
        entity_key_serialization_version=3,
    )

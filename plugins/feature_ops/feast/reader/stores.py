"""The online stores that the reader reads, by Feast's own connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_ops.feast.reader.rows import RowReader, Wanted

# By name, for importing a store's module needs its driver. A subclass may store in its own way.
_KINDS = {
    "feast.infra.online_stores.redis.RedisOnlineStore": "redis",
    "feast.infra.online_stores.postgres_online_store.postgres.PostgreSQLOnlineStore": "postgres",
    "feast.infra.online_stores.sqlite.SqliteOnlineStore": "sqlite",
}


def why_not_readable(store: Any, config: Any) -> str | None:
    """Return why Feast has to read the store itself; None if it need not."""
    kind, settings = kind_of(store), config.online_store
    if kind is None:
        return f"the online store is {type(store).__name__}"
    if config.entity_key_serialization_version != 3:
        return f"keys are serialized in version {config.entity_key_serialization_version}"
    if kind == "redis" and settings.redis_type == "redis_cluster":
        return "the online store is a cluster"
    if kind == "redis" and settings.client != "redis":
        return f"the online store is read with the client {settings.client.value}"
    return None


def row_reader(store: Any, config: Any, views: Sequence[Any], wanted: Sequence[Wanted]) -> RowReader:
    """
    Return what looks up rows in a store that is readable.

    :param views: the feature view of each part that is wanted.
    """
    kind = kind_of(store)
    if kind == "redis":
        from feature_ops.feast.reader.valkey import ValkeyReader

        return ValkeyReader(store._get_client(config.online_store), config.project, wanted)
    from feast.infra.online_stores.helpers import compute_table_id

    versioned = config.registry.enable_online_feature_view_versioning
    tables = [str(compute_table_id(config.project, view, versioned)) for view in views]
    if kind == "postgres":
        from feature_ops.feast.reader.postgres import PostgresReader

        return PostgresReader(store, config, tables, wanted)
    from feature_ops.feast.reader.sqlite import SqliteReader

    return SqliteReader(store, config, tables, wanted)


def kind_of(store: Any) -> str | None:
    """Return ``redis``, ``postgres`` or ``sqlite`` for a store whose layout is known; None for any other."""
    return _KINDS.get(f"{type(store).__module__}.{type(store).__qualname__}")

"""The online stores that the engine writes to, and how it reaches them: by Feast's own connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from feature_ops.feast.engine.postgres import PostgresWriter
from feature_ops.feast.engine.rows import EncodedRows
from feature_ops.feast.engine.sqlite import SqliteWriter
from feature_ops.feast.engine.valkey import ValkeyWriter
from feature_ops.feast.reader.stores import kind_of

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig
    from feast.infra.online_stores.online_store import OnlineStore


class Writer(Protocol):
    """
    Writes rows of one feature view.

    :param may_write_at_once: whether several threads may write, each other rows.
    :param wants_key_order: whether it writes faster what comes in the order of the serialized keys.
    """

    may_write_at_once: ClassVar[bool]
    wants_key_order: ClassVar[bool]

    def write(self, rows: EncodedRows) -> int:
        """Write rows; returns how many were no older than what was stored."""
        ...


def why_not_writable(store: OnlineStore, config: RepoConfig, view: FeatureView) -> str | None:
    """Return why Feast has to write the view's rows itself; None if the engine can."""
    kind, settings = kind_of(store), config.online_store
    if kind is None:
        return f"the online store is {type(store).__name__}"
    if kind == "redis":
        return "the online store is a cluster" if settings.redis_type == "redis_cluster" else None
    if settings.vector_enabled:
        return "the online store keeps vectors"
    if settings.enable_openai_compatible_store or (kind == "postgres" and _has_numbers(store, config, view)):
        return "the online store keeps numbers beside the values"
    return None


def keeps_texts(store: OnlineStore) -> bool:
    """Whether the store keeps values as text, too."""
    return kind_of(store) != "redis"


@contextmanager
def opened_writer(store: OnlineStore, config: RepoConfig, view: FeatureView) -> Iterator[Writer]:
    """Open a store that the engine can write to."""
    from feast.infra.online_stores.helpers import compute_versioned_name

    # Feast's stores are not typed.
    inner: Any = store
    if kind_of(store) == "redis":
        client = inner._get_client(config.online_store)
        name = compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)
        yield ValkeyWriter(client, config.project, name, config.online_store.key_ttl_seconds or 0)
        return
    table = _table(config, view)
    if kind_of(store) == "postgres":
        from feast.infra.utils.postgres.connection_utils import _get_conn

        with ExitStack() as opened:
            yield PostgresWriter(
                opened.enter_context(inner._get_conn(config)),
                lambda: opened.enter_context(_get_conn(config.online_store)),
                table,
            )
        return
    connection = inner._get_conn(config)
    # Feast's connection caches 2 MB, which the tree of a large table does not fit into.
    connection.execute("PRAGMA cache_size = -65536")
    yield SqliteWriter(connection, table)


def _table(config: RepoConfig, view: FeatureView) -> str:
    from feast.infra.online_stores.helpers import compute_table_id

    versioned = config.registry.enable_online_feature_view_versioning
    return str(compute_table_id(config.project, view, versioned))


def _has_numbers(store: Any, config: RepoConfig, view: FeatureView) -> bool:
    """Whether the table has numbers: Feast goes on to write them when the setting is off again."""
    with store._get_conn(config) as connection, connection.transaction(), connection.cursor() as cursor:
        return bool(store._check_table_has_value_num(cursor, _table(config, view), config))

"""Which views the engine materializes itself; all others go the way of stock Feast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_ops.feast.engine.entity_keys import KEY_TYPES, SERIALIZATION_VERSION
from feature_ops.feast.engine.features import accepts
from feature_ops.feast.engine.rows import NO_ENTITY
from feature_ops.feast.engine.source_files import why_not_readable

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig
    from feast.infra.common.materialization_job import MaterializationTask
    from feast.infra.offline_stores.offline_store import OfflineStore

_READS_FILES = ("DaskOfflineStore", "DuckDBOfflineStore", "ArrowOfflineStore")


@dataclass(frozen=True)
class ViewColumns:
    """
    The source's columns behind a view.

    :param keys: by the join key's name; none for a view without entities.
    :param features: by the feature's name.
    """

    keys: Mapping[str, str]
    features: Mapping[str, str]
    event_time: str
    created_time: str | None

    @classmethod
    def of(cls, view: FeatureView) -> ViewColumns:
        """Undo the field mapping of the view's source."""
        source = view.batch_source
        assert source is not None
        columns = {name: column for column, name in (source.field_mapping or {}).items()}

        def column_of(name: str) -> str:
            return str(columns.get(name, name))

        created = source.created_timestamp_column
        return cls(
            keys={key.name: column_of(key.name) for key in view.entity_columns if key.name != NO_ENTITY},
            features={feature.name: column_of(feature.name) for feature in view.features},
            event_time=column_of(source.timestamp_field),
            created_time=column_of(created) if created else None,
        )


def why_stock(task: MaterializationTask, config: RepoConfig, offline_store: OfflineStore) -> str | None:
    """Return why a task is left to stock Feast, by its definitions alone; None if it is not."""
    view: Any = task.feature_view
    return (
        _why_kind(view)
        or _why_computed(view)
        or _why_source(view, offline_store)
        or ("event times are switched off" if task.disable_event_timestamp else None)
        or (None if task.only_latest else "all versions of a row are asked for")
        or (
            None
            if config.entity_key_serialization_version == SERIALIZATION_VERSION
            else "keys are serialized in an old version"
        )
    )


def why_stock_by_types(view: FeatureView, columns: ViewColumns, schema: pa.Schema) -> str | None:
    """Return why a view is left to stock Feast, by the types of its source's columns."""
    for time in filter(None, (columns.event_time, columns.created_time)):
        if time not in schema.names or not pa.types.is_timestamp(schema.field(time).type):
            return f"the column {time} is no timestamp"
    for key in view.entity_columns:
        kind = key.dtype.to_value_type().name
        if key.name == NO_ENTITY and kind == "STRING":
            continue
        column = columns.keys.get(key.name, key.name)
        if kind not in KEY_TYPES or column not in schema.names:
            return f"the join key {key.name} is {kind}"
        if not KEY_TYPES[kind][0](schema.field(column).type):
            return f"the join key {key.name} is {kind}, and {schema.field(column).type} in its source"
    for feature in view.features:
        kind, column = feature.dtype.to_value_type().name, columns.features[feature.name]
        if column not in schema.names:
            return f"its source has no column {column}"
        if not accepts(schema.field(column).type, kind):
            return f"the feature {feature.name} is {kind}, and {schema.field(column).type} in its source"
    return None


def _why_kind(view: Any) -> str | None:
    from feast import BatchFeatureView, FeatureView

    if type(view) not in (FeatureView, BatchFeatureView):
        return f"it is a {type(view).__name__}"
    if not view.online:
        return "it is not online"
    if view.offline:
        return "it is written to the offline store, too"
    if not view.features or not view.entity_columns:
        return "it has no features" if not view.features else "its entities are not inferred yet"
    return None


def _why_computed(view: Any) -> str | None:
    if getattr(view, "feature_transformation", None) or getattr(view, "udf", None):
        return "it is transformed"
    if getattr(view, "aggregations", None):
        return "it is aggregated"
    if getattr(view, "source_views", None) or getattr(view, "filter", None):
        return "it is made of other views, or filtered"
    if view.enable_validation:
        return "its rows are validated"
    if any(getattr(feature, "vector_index", False) for feature in view.features):
        return "it has vectors"
    return None


def _why_source(view: Any, offline_store: OfflineStore) -> str | None:
    from feast import FileSource

    if type(offline_store).__name__ not in _READS_FILES:
        return f"the offline store is {type(offline_store).__name__}"
    if getattr(view, "stream_source", None) is not None:
        return "it has a stream"
    if type(view.batch_source) is not FileSource:
        return f"its source is a {type(view.batch_source).__name__}"
    return why_not_readable(view.batch_source)

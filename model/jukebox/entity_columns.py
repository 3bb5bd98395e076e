"""The columns by which callers of the feature store name a row: join keys and request values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def entity_columns(store: Any, projections: Iterable[Any]) -> set[str]:
    """
    Return the columns that are needed to read features.

    A view without an entity needs none. An on-demand view needs those of its inputs, whatever entities it
    declares itself.

    :param store: a ``feast.FeatureStore``.
    :param projections: ``feast.FeatureViewProjection`` of what is read.
    """
    return {column for projection in projections for column in _columns(store, projection)}


def _columns(store: Any, projection: Any) -> Iterator[str]:
    from feast.feature_view import DUMMY_ENTITY_ID

    view = store.registry.get_any_feature_view(projection.name, store.project, allow_cache=True)
    if hasattr(view, "source_feature_view_projections"):
        yield from view.get_request_data_schema()
        for source in view.source_feature_view_projections.values():
            yield from _columns(store, source)
        return
    for key in view.join_keys:
        if key != DUMMY_ENTITY_ID:
            yield projection.join_key_map.get(key, key)

"""The feature views that a dataset feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView


def views_of(store: FeatureStore, source_uri: str) -> list[FeatureView]:
    """
    Return the project's feature views that are served online and loaded from a dataset's history.

    :param source_uri: where the history lives.
    :raises BadInputError: if there is none: Feast itself would load nothing, and call that a success.
    """
    views = [view for view in all_views(store) if getattr(view, "batch_source", None)]
    found = [view for view in views if reads_source(view, source_uri) and why_not_loaded(view) is None]
    if not found:
        there = ", ".join(f"{view.name} reads {_path(view) or 'no path'}{_but(view)}" for view in views)
        raise BadInputError(
            f"no feature view of Feast's project {store.project!r} that is online reads {source_uri} "
            f"({there or 'it has no views'}): run `feast apply` in the feature repository, or correct the "
            "project in feature_store.yaml or the path of the view's source"
        )
    return sorted(found, key=lambda view: str(view.name))


def all_views(store: FeatureStore) -> list[Any]:
    """Return the project's views of every kind; those without entities with the key that Feast gives them."""
    # The store itself hides that key, without which neither Feast nor the Arrow engine loads such a view.
    return list(store.registry.list_all_feature_views(store.project))


def reads_source(view: Any, source_uri: str) -> bool:
    """Whether a view of any kind but on-demand reads its rows from a location."""
    return (_path(view) or "").rstrip("/") == source_uri.rstrip("/")


def _path(view: Any) -> str | None:
    return getattr(getattr(view, "batch_source", None), "path", None)


def _enabled(view: Any) -> bool:
    return bool(getattr(view, "enabled", True))


def why_not_loaded(view: Any) -> str | None:
    """Return why the rows of a view's source are not loaded into the online store; None if they are."""
    from feast import StreamFeatureView
    from feast.labeling.label_view import LabelView

    from feature_ops.feast.without_functions import function_left_out

    if isinstance(view, LabelView):
        # Feast takes labels by push only, whatever source they have.
        return "is a label view, which is only pushed to"
    if isinstance(view, StreamFeatureView) and (view.udf or function_left_out(view) or view.aggregations):
        return "is computed by a stream processor"
    if not view.online:
        return "is not online"
    return None if _enabled(view) else "is disabled"


def _but(view: Any) -> str:
    reason = why_not_loaded(view)
    return f" and {reason}" if reason else ""

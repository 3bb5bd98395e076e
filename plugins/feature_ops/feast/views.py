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
    views = [view for view in store.list_all_feature_views() if getattr(view, "batch_source", None)]
    found = [view for view in views if _reads(view, source_uri) and _is_loaded(view)]
    if not found:
        there = ", ".join(f"{view.name} reads {_path(view) or 'no path'}{_why_not(view)}" for view in views)
        raise BadInputError(
            f"no feature view of Feast's project {store.project!r} that is online reads {source_uri} "
            f"({there or 'it has no views'}): run `feast apply` in the feature repository, or correct the "
            "project in feature_store.yaml or the path of the view's source"
        )
    return sorted(found, key=lambda view: str(view.name))


def _reads(view: Any, source_uri: str) -> bool:
    return (_path(view) or "").rstrip("/") == source_uri.rstrip("/")


def _path(view: Any) -> str | None:
    return getattr(view.batch_source, "path", None)


def _enabled(view: Any) -> bool:
    return bool(getattr(view, "enabled", True))


def _is_loaded(view: Any) -> bool:
    return bool(view.online) and _enabled(view) and not _is_pushed_only(view)


def _is_pushed_only(view: Any) -> bool:
    from feast.labeling.label_view import LabelView

    # Feast takes labels by push only, whatever source they have.
    return isinstance(view, LabelView)


def _why_not(view: Any) -> str:
    if _is_pushed_only(view):
        return " and is a label view, which is only pushed to"
    if not view.online:
        return " and is not online"
    return "" if _enabled(view) else " and is disabled"

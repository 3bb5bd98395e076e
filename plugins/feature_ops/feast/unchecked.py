"""What services read of a dataset and ``verify_online`` does not compare with the offline history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from feature_ops.feast.served import services_of, why_not_compared
from feature_ops.feast.views import all_views, reads_source

if TYPE_CHECKING:
    from feast import FeatureStore

    from feature_ops.datasets.dataset import Dataset


def unchecked_features(store: FeatureStore, dataset: Dataset, source_uri: str) -> list[str]:
    """
    List features that are not compared, each as ``view:feature (reason)``.

    :param dataset: its feature service, else all services of the project, say which features count. If no
        service reads the dataset, all features of its views count.
    :param source_uri: location of the dataset's history, which is the source of its views.
    """
    views = {str(view.name): view for view in all_views(store)}
    of_dataset = {name for name, view in views.items() if _reads(view, views, source_uri)}
    projections = [
        projection
        for service in services_of(store, dataset)
        for projection in service.feature_view_projections
        if projection.name in of_dataset
    ]
    if not projections:
        projections = [
            views[name].projection for name in sorted(of_dataset) if not _is_on_demand(views[name])
        ]
    found: dict[str, None] = {}
    for projection in projections:
        reason = _reason(views[projection.name], projection)
        for feature in projection.features if reason else ():
            found[f"{projection.name_to_use()}:{feature.name} ({reason})"] = None
    return list(found)


def _reads(view: Any, views: dict[str, Any], source_uri: str) -> bool:
    """Whether a view reads the source, for an on-demand view through its inputs."""
    return any(reads_source(below, source_uri) for below in _sources(view, views))


def _sources(view: Any, views: dict[str, Any]) -> Iterator[Any]:
    if not _is_on_demand(view):
        yield view
        return
    for projection in view.source_feature_view_projections.values():
        if projection.name in views:
            yield views[projection.name]


def _is_on_demand(view: Any) -> bool:
    return hasattr(view, "source_feature_view_projections")


def _reason(view: Any, projection: Any) -> str | None:
    if _is_on_demand(view):
        if view.write_to_online_store:
            return "not loaded: has write_to_online_store=True"
        return "computed on demand; its inputs are compared"
    if projection.version_tag is not None:
        return "not loaded: is a pinned version"
    return why_not_compared(view)

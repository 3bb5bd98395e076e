"""Feature views and services for the *Feature store* page; collected by the steps that load them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.dataset import Dataset

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore, FeatureView
    from feast.feature_view_projection import FeatureViewProjection

    from feature_ops.feast.ledger import Ledger

# Points are kept for long, so each is small whatever the feature store holds.
_VIEWS_IN_A_POINT = 20
_SERVICES = 200


def store_now(store: FeatureStore, ledger: Ledger, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Return the online views of the datasets, and all services and on-demand views, as plain JSON."""
    from feature_ops.feast.views import views_of

    return {
        "online": [
            _view(view, ledger, store.project, dataset)
            for dataset in datasets
            for view in views_of(store, dataset.uri)
        ],
        "services": [_service(service) for service in store.list_feature_services()[:_SERVICES]],
        "on_demand_views": [
            {
                "name": view.name,
                "features": _fields(view.features),
                "reads": _references(view.source_feature_view_projections.values()),
            }
            for view in store.list_on_demand_feature_views()
        ],
    }


def load_point(dataset: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the point of one load, for the charts of rows and of freshness.

    :param told: what the step reports.
    """
    views = told.get("online", ())[:_VIEWS_IN_A_POINT]
    return {
        "dataset": dataset,
        "rows": told.get("rows"),
        "seconds": told.get("seconds"),
        "newest_event": {view["name"]: view["newest_event"] for view in views},
    }


def _view(view: FeatureView, ledger: Ledger, project: str, dataset: Dataset) -> dict[str, Any]:
    from feature_ops.feast.view_definition import key_columns

    files = ledger.online(project, view.name).values()
    newest = max((file.last_event for file in files if file.last_event), default=None)
    loaded = max((file.materialized_at for file in files), default=None)
    return {
        "name": view.name,
        "dataset": dataset.name,
        "description": view.description,
        "keys": list(key_columns(view)),
        "features": _fields(view.features),
        "rows": sum(file.rows for file in files),
        "files": len(files),
        "newest_event": newest.isoformat() if newest else None,
        "loaded_at": loaded.isoformat(timespec="seconds") if loaded else None,
    }


def _service(service: FeatureService) -> dict[str, Any]:
    return {
        "name": service.name,
        "description": service.description,
        "features": _references(service.feature_view_projections),
    }


def _fields(features: Iterable[Any]) -> list[dict[str, str]]:
    return [{"name": feature.name, "type": str(feature.dtype)} for feature in features]


def _references(projections: Iterable[FeatureViewProjection]) -> list[str]:
    return [
        f"{projection.name}:{feature.name}" for projection in projections for feature in projection.features
    ]

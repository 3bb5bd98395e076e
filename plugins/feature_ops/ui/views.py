"""What the page in Airflow shows of a dataset's feature views: told by the steps that load them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feature_ops.datasets.dataset import Dataset

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from feature_ops.feast.ledger import Ledger


def views_online(store: FeatureStore, ledger: Ledger, dataset: Dataset) -> list[dict[str, Any]]:
    """Return, for each online view of the dataset, what of its history is online, as plain JSON."""
    from feature_ops.feast.views import views_of

    return [_view(view, ledger, store.project, dataset) for view in views_of(store, dataset.uri)]


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
        "features": [feature.name for feature in view.features],
        "rows": sum(file.rows for file in files),
        "files": len(files),
        "newest_event": newest.isoformat() if newest else None,
        "loaded_at": loaded.isoformat(timespec="seconds") if loaded else None,
    }

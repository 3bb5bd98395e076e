"""What of a dataset is read by those who predict: which features, from which column, under which keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import BadInputError
from feature_ops.feast.view_definition import key_columns, source_columns
from feature_ops.feast.views import views_of, why_not_loaded

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore, FeatureView

    from feature_ops.datasets.dataset import Dataset


@dataclass(frozen=True)
class ServedFeature:
    """
    One feature that comes from the dataset.

    :param column: the history's column that it is read from.
    :param type: its Feast type, such as ``Float32``.
    """

    name: str
    column: str
    type: str


@dataclass(frozen=True)
class ServedView:
    """
    A view of the dataset and what of it is asked for.

    :param keys: the history's column of each join key, by the join key's name.
    """

    name: str
    keys: Mapping[str, str]
    features: tuple[ServedFeature, ...]

    @property
    def references(self) -> list[str]:
        """The features as Feast is asked for them."""
        return [f"{self.name}:{feature.name}" for feature in self.features]


def served_views(store: FeatureStore, dataset: Dataset, source_uri: str) -> list[ServedView]:
    """
    Return the dataset's views with the features that services ask for, also through on-demand views.

    These are the services that the dataset names, else all of the project. Where no service reads the
    dataset, everything in its views counts.

    :param source_uri: where the views' source is.
    :raises BadInputError: the service that the dataset names has no feature of it.
    """
    views = {view.name: view for view in views_of(store, source_uri)}
    asked: dict[str, dict[str, None]] = {}
    for view, feature in _asked_for(store, services_of(store, dataset), views):
        asked.setdefault(view, {})[feature] = None
    if not asked and dataset.feature_service:
        raise BadInputError(
            f"feature service {dataset.feature_service!r} has no feature of {', '.join(views)}: add one, or "
            f"name another service in the dataset {dataset.name}, or none to read back what any service has"
        )
    if not asked:
        asked = {name: dict.fromkeys(f.name for f in view.features) for name, view in views.items()}
    return [
        _served(views[name], features)
        for name, features in asked.items()
        if why_not_compared(views[name]) is None
    ]


def why_not_compared(view: Any) -> str | None:
    """Return why values of a dataset's view cannot be compared with the history; None if they can."""
    reason = why_not_loaded(view)
    if reason:
        return f"not loaded: {reason}"
    if any(getattr(view, part, None) for part in ("feature_transformation", "aggregations", "source_views")):
        return "computed while it is loaded"
    return None if key_columns(view) else "its view has no entity, so no key to sample"


def services_of(store: FeatureStore, dataset: Dataset) -> list[FeatureService]:
    """Return the services whose features are read back: that of the dataset, else all of the project."""
    if dataset.feature_service:
        return [store.get_feature_service(dataset.feature_service)]
    return sorted(store.list_feature_services(), key=lambda service: str(service.name))


def _asked_for(
    store: FeatureStore, services: Iterable[FeatureService], views: Mapping[str, FeatureView]
) -> Iterator[tuple[str, str]]:
    """Yield view and feature of all that services ask for; what requests bring is nobody's feature."""
    on_demand = {view.name: view for view in store.list_on_demand_feature_views()}
    waiting = [projection for service in services for projection in service.feature_view_projections]
    seen: set[str] = set()
    while waiting:
        projection = waiting.pop(0)
        if projection.name in views:
            yield from ((projection.name, feature.name) for feature in projection.features)
        elif projection.name in on_demand and projection.name not in seen:
            seen.add(projection.name)
            waiting += on_demand[projection.name].source_feature_view_projections.values()


def _served(view: FeatureView, names: Iterable[str]) -> ServedView:
    columns = source_columns(view)
    types = {feature.name: str(feature.dtype) for feature in view.features}
    features = tuple(ServedFeature(n, columns.get(n, n), types[n]) for n in names if n in types)
    return ServedView(str(view.name), key_columns(view), features)

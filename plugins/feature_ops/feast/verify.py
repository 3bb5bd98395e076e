"""Read back what was loaded, through the feature service as predictions do, and compare."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.feast.history import History, Key
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.online_failures import online_store_failures
from feature_ops.feast.views import views_of

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore, FeatureView

_DIFFERENCES_SHOWN = 5


@dataclass(frozen=True)
class ServedFeature:
    """
    One feature of the service that comes from the dataset.

    :param online_name: its name in the answer of the online store.
    :param column: the history's column that it is read from.
    :param type: its Feast type, such as ``Float32``.
    """

    view: str
    name: str
    online_name: str
    column: str
    type: str


@dataclass(frozen=True)
class Difference:
    """A feature of a key that is not online as it stands in the history."""

    key: Key
    feature: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        key = "/".join(map(str, self.key))
        return f"{self.feature} of {key} is {self.got!r} online, but {self.expected!r} in the history"


@dataclass(frozen=True)
class Verifier:
    """
    Compares the online store with the history. To be used under the lock.

    :param source_uri: where the views' source is.
    """

    store: FeatureStore
    ledger: Ledger
    history: History
    source_uri: str

    def verify(self, names: Sequence[str], sample: int) -> tuple[int, int]:
        """
        Read back a sample of the keys in files; returns how many keys and features were compared.

        :param names: the files.
        :param sample: how many keys at most, evenly spread over the files' rows.
        :raises FeatureOpsError: if a value differs; it names key, feature and both values.
        :raises BadInputError: if the feature service has no feature of the dataset.
        """
        self.store.refresh_registry()
        service, features = self._served()
        keys = self.history.sample([name for name in names if name in self.history.paths], sample)
        if not keys:
            return 0, 0
        online = self._read(service, features, keys)
        now = self.ledger.now()
        differences: list[Difference] = []
        for view, of_view in _by_view(features).items():
            recorded = [n for n in self.ledger.online(self.store.project, view) if n in self.history.paths]
            found = self._compare(recorded, of_view, keys, online, now)
            if found and len(recorded) < len(self.history.paths):
                # A person's own `feast materialize` also loads files that the ledger does not know yet.
                again = [difference.key for difference in found]
                found = self._compare(list(self.history.paths), of_view, again, online, now)
            differences += found
        if differences:
            shown = "; ".join(map(str, differences[:_DIFFERENCES_SHOWN]))
            more = len(differences) - _DIFFERENCES_SHOWN
            raise FeatureOpsError(
                f"{shown}{f' and {more:,} differences more' if more > 0 else ''}. "
                "Run the DAG with full_refresh to write all values again"
            )
        return len(keys), len(features)

    def _served(self) -> tuple[FeatureService | list[str], list[ServedFeature]]:
        """Return what to ask the online store for, and what of it comes from the dataset."""
        name = self.history.dataset.feature_service
        service = self.store.get_feature_service(name)
        views = {view.name: view for view in views_of(self.store, self.source_uri)}
        projections = service.feature_view_projections
        ours = [projection for projection in projections if projection.name in views]
        features = [
            _served_feature(views[projection.name], projection, feature)
            for projection in ours
            for feature in projection.features
        ]
        if not features:
            raise BadInputError(
                f"feature service {name!r} has no feature of {', '.join(views)}: add one, or name another "
                f"service in the dataset {self.history.dataset.name}"
            )
        if len(ours) == len(projections):
            return service, features
        # Other views have other keys, which are not at hand here.
        return [f"{feature.view}:{feature.name}" for feature in features], features

    def _read(
        self, wanted: FeatureService | list[str], features: Iterable[ServedFeature], keys: Sequence[Key]
    ) -> dict[Key, dict[str, Any]]:
        names = self.history.dataset.keys
        rows = [dict(zip(names, key, strict=True)) for key in keys]
        with online_store_failures(self.store.config.online_store):
            answer = self.store.get_online_features(wanted, rows, full_feature_names=True).to_dict()
        return {
            key: {feature.online_name: answer[feature.online_name][place] for feature in features}
            for place, key in enumerate(keys)
        }

    def _compare(
        self,
        names: Sequence[str],
        features: Sequence[ServedFeature],
        keys: Sequence[Key],
        online: Mapping[Key, Mapping[str, Any]],
        until: datetime,
    ) -> list[Difference]:
        expected = self.history.latest(names, keys, [feature.column for feature in features], until)
        differences = []
        for key in dict.fromkeys(keys):
            for feature in features if key in expected else ():
                want = as_served(expected[key][feature.column], feature.type)
                got = online[key][feature.online_name]
                if not same_value(want, got):
                    differences.append(Difference(key, feature.name, want, got))
        return differences


def as_served(value: Any, feast_type: str) -> Any:
    """
    Return a value of the history as the online store serves it.

    :param feast_type: the feature's type, such as ``Float32``.
    """
    if value is None:
        return None
    if feast_type == "Float32":
        # Rounded as its four bytes are.
        return struct.unpack("f", struct.pack("f", value))[0] if math.isfinite(value) else value
    if feast_type == "UnixTimestamp" and isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0)
    return value


def same_value(expected: Any, got: Any) -> bool:
    """Return whether two values are one; null and NaN are, as Feast does not tell them apart."""
    return expected == got or (_is_null(expected) and _is_null(got))


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _served_feature(view: FeatureView, projection: Any, feature: Any) -> ServedFeature:
    source_names = {feature: column for column, feature in view.batch_source.field_mapping.items()}
    return ServedFeature(
        view=view.name,
        name=feature.name,
        online_name=f"{projection.name_to_use()}__{feature.name}",
        column=source_names.get(feature.name, feature.name),
        type=str(feature.dtype),
    )


def _by_view(features: Iterable[ServedFeature]) -> dict[str, list[ServedFeature]]:
    views: dict[str, list[ServedFeature]] = {}
    for feature in features:
        views.setdefault(feature.view, []).append(feature)
    return views

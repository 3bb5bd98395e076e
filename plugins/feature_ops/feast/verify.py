"""Read back what was loaded, feature by feature as services ask for them, and compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.history import History, Key
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.online_failures import online_store_failures
from feature_ops.feast.served import ServedView, served_views
from feature_ops.feast.served_values import as_served, same_value
from feature_ops.feast.unchecked import unchecked_features

if TYPE_CHECKING:
    from feast import FeatureStore

_DIFFERENCES_SHOWN = 5


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

    def verify(
        self, names: Sequence[str], sample: int, loaded: Mapping[str, Sequence[str]] | None = None
    ) -> tuple[int, int]:
        """
        Read back a sample of the keys in files; returns how many keys and features were compared.

        :param names: the files.
        :param sample: how many keys at most, evenly spread over the files' rows.
        :param loaded: by view, files that are online beside those that the ledger has.
        :raises FeatureOpsError: if a value differs; it names key, feature and both values.
        :raises BadInputError: if the dataset's feature service has no feature of it.
        """
        self.store.refresh_registry()
        there = [name for name in names if name in self.history.paths]
        differences: list[Difference] = []
        keys: dict[tuple[str, ...], int] = {}
        features = 0
        for view in served_views(self.store, self.history.dataset, self.source_uri):
            columns = tuple(view.keys.values())
            sought = self.history.sample(there, sample, columns)
            if sought:
                keys[columns] = len(sought)
                features += len(view.features)
                differences += self._differences(view, sought, (loaded or {}).get(view.name, ()))
        if differences:
            shown = "; ".join(map(str, differences[:_DIFFERENCES_SHOWN]))
            more = len(differences) - _DIFFERENCES_SHOWN
            raise FeatureOpsError(
                f"{shown}{f' and {more:,} differences more' if more > 0 else ''}. "
                "Run the DAG with full_refresh to write all values again"
            )
        return sum(keys.values()), features

    def unchecked(self) -> list[str]:
        """List the features of the dataset that :meth:`verify` does not compare, each with the reason."""
        return unchecked_features(self.store, self.history.dataset, self.source_uri)

    def _differences(self, view: ServedView, keys: Sequence[Key], loaded: Sequence[str]) -> list[Difference]:
        online = self._read(view, keys)
        now = self.ledger.now()
        known = dict.fromkeys([*self.ledger.online(self.store.project, view.name), *loaded])
        recorded = [name for name in known if name in self.history.paths]
        found = self._compare(recorded, view, keys, online, now)
        if found and len(recorded) < len(self.history.paths):
            # A person's own `feast materialize` also loads files that the ledger does not know yet.
            again = [difference.key for difference in found]
            return self._compare(list(self.history.paths), view, again, online, now)
        return found

    def _read(self, view: ServedView, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        # By reference and not by service: other views have other keys, and on-demand ones want more than
        # keys, neither of which is at hand here.
        rows = [dict(zip(view.keys, key, strict=True)) for key in keys]
        with online_store_failures(self.store.config.online_store):
            answer = self.store.get_online_features(view.references, rows, full_feature_names=True).to_dict()
        names = [feature.name for feature in view.features]
        return {
            key: {name: answer[f"{view.name}__{name}"][place] for name in names}
            for place, key in enumerate(keys)
        }

    def _compare(
        self,
        names: Sequence[str],
        view: ServedView,
        keys: Sequence[Key],
        online: Mapping[Key, Mapping[str, Any]],
        until: datetime,
    ) -> list[Difference]:
        columns = [feature.column for feature in view.features]
        expected = self.history.latest(names, keys, columns, until, tuple(view.keys.values()))
        differences = []
        for key in dict.fromkeys(keys):
            for feature in view.features if key in expected else ():
                want = as_served(expected[key][feature.column], feature.type)
                got = online[key][feature.name]
                if not same_value(want, got):
                    differences.append(Difference(key, feature.name, want, got))
        return differences

"""Whether a model has a champion, had one, or never had one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings
from feature_ops.training.model_registry import CHAMPION, ModelRegistry, ModelVersion


@dataclass(frozen=True)
class ChampionState:
    """
    The champion of one model.

    :param current: the version that has the alias; None if no version has it.
    :param last: number of the last version that was champion; None if the model never had one.
    """

    current: ModelVersion | None
    last: str | None

    @property
    def never(self) -> bool:
        """Whether the model never had a champion: only then does a version become it without approval."""
        return self.current is None and self.last is None

    @property
    def missing(self) -> str | None:
        """Notice that the alias is missing although a version had it; None if that is not so."""
        if self.current is not None or self.last is None:
            return None
        return f"the alias {CHAMPION} is missing in MLflow (version {self.last} had it last)"


class ChampionRecord:
    """
    The champion of one model, with a record of it that outlives it.

    The record is a tag of MLflow's registered model and an object on object storage: either is enough, so
    that it survives the deletion of the alias, of the version and of the registered model.
    """

    def __init__(self, registry: ModelRegistry, store: ObjectStore, model: str) -> None:
        self._registry, self._store = registry, store
        self._uri = f"{get_settings().storage_uri}/_training/{model}/champion.json"

    def state(self) -> ChampionState:
        """Return the current state; a champion that a user appointed in MLflow is recorded."""
        current = self._registry.by_alias(CHAMPION)
        tagged, stored = self._registry.last_champion(), self._stored()
        last = current.version if current else tagged or stored
        if last and {tagged, stored} != {last}:
            self.record(last)
        return ChampionState(current, last)

    def record(self, version: str) -> None:
        """Record that a version is the champion."""
        self._registry.record_champion(version)
        self._store.put_bytes(json.dumps({"version": version}).encode(), self._uri)

    def _stored(self) -> str | None:
        found = self._store.get_bytes(self._uri)
        if found is None:
            return None
        try:
            return str(json.loads(found[0])["version"])
        except (ValueError, KeyError, TypeError):
            # Damaged, but it exists: there was a champion.
            return "unknown"

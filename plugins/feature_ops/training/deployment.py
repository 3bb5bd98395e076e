"""Giving a version to those who answer with it: the alias moves, the service takes it or refuses it."""

from __future__ import annotations

from collections.abc import Sequence

from feature_ops.object_store import ObjectStore
from feature_ops.training.champion import ChampionRecord
from feature_ops.training.live_models import announce, listed_features, withdraw
from feature_ops.training.model_registry import CHAMPION, ModelRegistry
from feature_ops.training.model_service import ModelService


class Deployment:
    """
    An alias of a model and the service that follows it.

    :param model: the model's name.
    :param service_url: address of the service; None if none is told of, then the alias is all that moves.
    :param timeout: seconds that the service may take.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: ObjectStore,
        model: str,
        alias: str,
        service_url: str | None,
        timeout: float,
    ) -> None:
        self._registry, self._store = registry, store
        self._model, self._name, self._alias = model, f"{model}@{alias}", alias
        self._service_url, self._timeout = service_url, timeout

    def move(self, version: str, features: Sequence[str]) -> str | None:
        """
        Have the service answer with a version; returns why it was refused, None if it was not.

        A refused version leaves alias and service as they were. May be repeated.

        :param features: ``view:feature`` references that the version asks for.
        :raises FeatureOpsError: the service neither took nor refused it in time; a retry goes on.
        """
        before = self._registry.by_alias(self._alias)
        if before is not None and before.version == version:
            # An earlier try moved the alias; the service may still answer with what it was moved from.
            before = self._registry.before(self._alias)
        # Without the alias the service may still serve a version that is known by its listed features only.
        listed = [] if before else listed_features(self._store, self._name)
        in_use = before.features if before else listed
        # As long as either may answer, no field that one of them reads may be removed.
        announce(self._store, self._name, list(dict.fromkeys([*features, *in_use])))
        self._registry.set_alias(self._alias, version)
        service = ModelService(self._service_url) if self._service_url else None
        refused = service.wait_for(version, self._timeout) if service else None
        if refused is None:
            announce(self._store, self._name, list(features))
            if self._alias == CHAMPION:
                ChampionRecord(self._registry, self._store, self._model).record(version)
            return None
        self._go_back(listed)
        return refused

    def _go_back(self, listed: list[str]) -> None:
        before = self._registry.before(self._alias)
        if before is None:
            self._registry.remove_alias(self._alias)
            if listed:
                announce(self._store, self._name, listed)
            else:
                withdraw(self._store, self._name)
        else:
            self._registry.set_alias(self._alias, before.version)
            announce(self._store, self._name, list(before.features))

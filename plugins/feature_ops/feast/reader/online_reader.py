"""
Reads features from Feast's online store for whoever knows their keys.

Whatever is not plain goes through ``get_online_features``, with one line in the log that says why.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from feature_ops.feast.reader.answer import Answer, GivenAnswer
from feature_ops.feast.reader.plan import AskFeastError, Plan
from feature_ops.feast.reader.request import Request, Resolver
from feature_ops.feast.reader.stores import why_not_readable

log = logging.getLogger(__name__)


class OnlineReader:
    """
    Reads the features of one service, or of one list of references.

    A reader may be used by several threads.
    """

    def __init__(self, store: Any, features: Any, full_feature_names: bool) -> None:
        self._store, self._features, self._full = store, features, full_feature_names
        self._resolver = Resolver(store, features, full_feature_names)
        self._plans: tuple[Request | None, dict[tuple[str, ...], Plan | str]] = (None, {})
        self._logged: set[str] = set()
        self._reason = _why_not(store)

    @classmethod
    def of(cls, store: Any, features: Any, full_feature_names: bool = False) -> OnlineReader:
        """
        Return a reader.

        :param store: a ``feast.FeatureStore``.
        :param features: a ``feast.FeatureService``, or references of the form ``view:feature``.
        :param full_feature_names: whether the names of columns begin with that of the view.
        :raises Exception: what ``get_online_features`` raises for features that it can't serve.
        """
        reader = cls(store, features, full_feature_names)
        if reader._reason is None:
            reader._resolver.request()
        return reader

    def read(self, keys: Mapping[str, Sequence[Any]]) -> Answer:
        """
        Return the features of some entities.

        :param keys: a column for each join key, all of one length.
        :raises Exception: what ``get_online_features`` raises for these keys, and the driver's errors.
        """
        try:
            return self._plan(tuple(keys)).read(keys)
        except AskFeastError as reason:
            self._log(str(reason))
        return GivenAnswer(
            self._store.get_online_features(
                features=self._features, entity_rows=keys, full_feature_names=self._full
            )
        )

    def _plan(self, names: tuple[str, ...]) -> Plan:
        if self._reason:
            raise AskFeastError(self._reason)
        request = self._resolver.request()
        planned_for, plans = self._plans
        if planned_for is not request:
            plans = {}
            self._plans = (request, plans)
        plan = plans.get(names)
        if plan is None:
            plan = plans[names] = self._planned(request, names)
        if isinstance(plan, str):
            raise AskFeastError(plan)
        return plan

    def _planned(self, request: Request, names: tuple[str, ...]) -> Plan | str:
        reason = _why_not_planned(request)
        if reason:
            return reason
        try:
            return Plan(self._store, request, names, self._full)
        except AskFeastError as unusual:
            return str(unusual)

    def _log(self, reason: str) -> None:
        # What differs from call to call comes after a colon.
        kind = reason.partition(":")[0]
        if kind not in self._logged:
            self._logged.add(kind)
            log.info("features are read by Feast itself: %s", reason)


def _why_not(store: Any) -> str | None:
    """Return why every call has to be Feast's; None if it need not."""
    from feast import FeatureStore
    from feast.infra.passthrough_provider import PassthroughProvider

    provider = store._get_provider()
    if type(store).get_online_features is not FeatureStore.get_online_features:
        return f"the feature store is {type(store).__name__}"
    if type(provider).get_online_features is not PassthroughProvider.get_online_features:
        return f"the provider is {type(provider).__name__}"
    if _is_counted():
        return "Feast counts what it reads"
    if store.mlflow is not None and store.config.mlflow.auto_log:
        return "Feast logs to MLflow what it reads"
    return why_not_readable(provider.online_store, store.config)


def _why_not_planned(request: Request) -> str | None:
    from feast import FeatureView

    if request.on_demand:
        return "features are computed on demand"
    for view, _ in request.grouped:
        if not isinstance(view, FeatureView):
            return f"{view.name} is {type(view).__name__}"
        if view.projection.version_tag is not None:
            return f"a version of {view.name} is asked for"
    return None


def _is_counted() -> bool:
    """Whether Feast's metrics of online reads are on."""
    try:
        from feast import metrics
    except ImportError:
        return False
    return bool(metrics._config.online_features)

"""Why a model is trained, or why not: what has happened since the newest one, held against the table."""

from __future__ import annotations

from dataclasses import dataclass

from feature_ops.alerts.alert import Alert
from feature_ops.settings import Settings
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.recipe import Recipe, what_changed
from feature_ops.triggers import Cause, decide

# What is trained for these is trained even if it was refused before.
_ASKED_FOR = frozenset({Cause.FORCED, Cause.FIRST, Cause.ALERT})
_CHANGED = {Cause.FEATURES: "its features", Cause.CODE: "its code", Cause.DATA: "its data"}


@dataclass(frozen=True)
class Reasons:
    """
    The causes for which one run trains, out of all that has happened.

    :param causes: none: nothing is to be trained.
    :param newest: the newest model; None if there is none yet.
    :param alert: what started the run; None if no alert did.
    """

    causes: tuple[Cause, ...]
    newest: ModelVersion | None
    alert: Alert | None = None

    @classmethod
    def found(
        cls,
        recipe: Recipe,
        dataset_version: str,
        newest: ModelVersion | None,
        settings: Settings,
        forced: bool = False,
        alert: Alert | None = None,
    ) -> Reasons:
        """Compare what a model would be made of now with what the newest one was made of."""
        happened = {Cause.FORCED} if forced else set()
        if alert:
            happened.add(Cause.ALERT)
        if newest is None:
            happened.add(Cause.FIRST)
        else:
            happened.update(what_changed(recipe, newest.recipe))
            if dataset_version != newest.dataset_version:
                happened.add(Cause.DATA)
        return cls(decide(happened, settings).trains_for, newest, alert)

    @property
    def asked_for(self) -> bool:
        """Whether it is trained even if a model on the same was refused before."""
        return not _ASKED_FOR.isdisjoint(self.causes)

    @property
    def text(self) -> str:
        """The reasons in words."""
        told = []
        if Cause.FORCED in self.causes:
            told.append("forced")
        if Cause.ALERT in self.causes and self.alert:
            told.append(self.alert.reason)
        if Cause.FIRST in self.causes:
            told.append("the first model")
        changed = [words for cause, words in _CHANGED.items() if cause in self.causes]
        if changed and self.newest:
            told.append(f"{' and '.join(changed)} changed since version {self.newest.version}")
        return ", ".join(told)

"""What triggers what: which changes are applied, and which make another model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_ops.settings import Settings


class Cause(StrEnum):
    """Something that happened since the last run, in words."""

    FEATURES = "a feature changed"
    CODE = "the model's code changed"
    DATA = "new data"
    ALERT = "an alert fires"
    WORDS = "README, comments, order, whitespace"
    FIRST = "there is no model yet"
    FORCED = "force_training"


@dataclass(frozen=True)
class Effect:
    """
    What is done about a cause.

    :param applies: the wanted commit's features are applied.
    :param trains: a model is trained.
    :param prevents_applying: nothing is applied in this run, whatever else has happened.
    :param applies_if: name of the setting that must be on for it to be applied.
    :param happens_if: name of the setting that must be on for anything to be done.
    """

    applies: bool = False
    trains: bool = False
    prevents_applying: bool = False
    applies_if: str | None = None
    happens_if: str | None = None


TABLE: Mapping[Cause, Effect] = {
    Cause.FEATURES: Effect(applies=True, trains=True, applies_if="apply_feature_changes"),
    Cause.CODE: Effect(trains=True),
    Cause.DATA: Effect(trains=True, happens_if="retrain_on_new_data"),
    Cause.ALERT: Effect(trains=True, prevents_applying=True, happens_if="alert_trigger"),
    Cause.WORDS: Effect(),
    Cause.FIRST: Effect(trains=True),
    Cause.FORCED: Effect(trains=True),
}


@dataclass(frozen=True)
class Decision:
    """
    What one run does about all that has happened.

    :param applies: whether the wanted commit is applied.
    :param trains_for: the causes for which a model is trained, once for all of them.
    """

    applies: bool
    trains_for: tuple[Cause, ...]


def decide(causes: Collection[Cause], settings: Settings) -> Decision:
    """Return what is done when these causes come together."""
    effects = {cause: TABLE[cause] for cause in Cause if cause in causes and _on(TABLE[cause], settings)}
    return Decision(
        applies=not any(TABLE[cause].prevents_applying for cause in causes)
        and any(
            effect.applies and (effect.applies_if is None or getattr(settings, effect.applies_if))
            for effect in effects.values()
        ),
        trains_for=tuple(cause for cause, effect in effects.items() if effect.trains),
    )


def _on(effect: Effect, settings: Settings) -> bool:
    return effect.happens_if is None or bool(getattr(settings, effect.happens_if))

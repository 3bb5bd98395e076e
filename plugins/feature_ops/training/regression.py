"""Regressions: models that are worse than the champion, and the reason for which one is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_ops.training.result import TrainingResult

if TYPE_CHECKING:
    from feature_ops.training.model_registry import ModelVersion

REASON_TAG = "feature_ops.accepted_regression"
USER_TAG = "feature_ops.accepted_regression_by"
# Longest reason; the form has the same limit.
REASON_LENGTH = 500
# Metrics whose direction is known: +1 where a higher value is worse.
_WORSE = {"log_loss": 1.0, "top1": -1.0, "top5": -1.0}


@dataclass(frozen=True)
class AcceptedRegression:
    """
    A user's decision that a model may be worse than the champion.

    :param reason: one line, such as "the licence of loudness ends".
    :param user: who triggered the run; empty if Airflow does not know.
    """

    reason: str
    user: str = ""

    @classmethod
    def of_form(cls, reason: object, user: object = None) -> AcceptedRegression | None:
        """Return the decision that a trigger form holds; None if its field is empty."""
        text = " ".join(str(reason or "").split())[:REASON_LENGTH]
        return cls(text, str(user or "")) if text else None

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> AcceptedRegression | None:
        """Return the decision that a model version's tags hold; None if there is none."""
        return cls.of_form(tags.get(REASON_TAG), tags.get(USER_TAG))

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> AcceptedRegression | None:
        """Return the decision that steps pass on; None if there is none."""
        kept = facts.get("accepted_regression") or {}
        return cls.of_form(kept.get("reason"), kept.get("user"))

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the model version."""
        return {REASON_TAG: self.reason, USER_TAG: self.user}

    @property
    def facts(self) -> dict[str, str]:
        """The decision as plain JSON."""
        return {"reason": self.reason, "user": self.user}

    @property
    def text(self) -> str:
        """The reason and the user in one line."""
        return f"“{self.reason}”, {self.user}" if self.user else f"“{self.reason}”"


def significantly_worse(result: TrainingResult | None, champion: str | None) -> tuple[str, ...]:
    """
    Return the metrics in which a model is worse than the champion, with the whole confidence interval.

    :param result: of the model's training; it counts if it was compared with this champion.
    :param champion: number of today's champion; None if there is none.
    """
    if result is None or result.champion is None or result.champion.version != champion:
        return ()
    return tuple(
        name
        for name, interval in (result.comparison or {}).items()
        if (sign := _WORSE.get(name)) and min(sign * interval.low, sign * interval.high) > 0
    )


def reason_required(version: ModelVersion, result: TrainingResult | None, champion: str | None) -> str | None:
    """
    Return why the approval of a version needs a reason, as markdown; None if it needs none.

    :param result: of the version's training; None if it is unknown.
    :param champion: number of today's champion; None if there is none.
    """
    worse = significantly_worse(result, champion)
    parts = []
    if worse:
        parts.append(f"**Significantly worse than the champion** (version {champion}) in {', '.join(worse)}.")
    if version.accepted_regression:
        parts.append(f"**Regression accepted**: {version.accepted_regression.text}.")
    return " ".join([*parts, "A reason is required to approve."]) if parts else None

"""Regressions: models that are worse than the champion, and the reason for which one is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REASON_TAG = "feature_ops.accepted_regression"
USER_TAG = "feature_ops.accepted_regression_by"
# Longest reason; the form has the same limit.
REASON_LENGTH = 500


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

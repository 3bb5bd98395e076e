"""The record of an approval: who approved which version over which, when and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import BadInputError, NothingPendingError, SupersededError

if TYPE_CHECKING:
    from feature_ops.training.model_registry import ModelVersion

# The approver of what nobody is asked about.
AUTO_APPROVE = "FEATURE_OPS_AUTO_APPROVE"


@dataclass(frozen=True)
class Approval:
    """
    One approval.

    :param by: the approver's name.
    :param why: the reason; may be empty.
    :param at: ISO time in UTC.
    :param version: the version that is approved.
    :param champion: the version that it replaces; None if there was none.
    :param champion_since: when that one was promoted; empty if that is not recorded.
    """

    by: str
    why: str
    at: str
    version: str
    champion: str | None
    champion_since: str

    @classmethod
    def of(cls, question: Mapping[str, Any], by: str, why: str, at: datetime | None = None) -> Approval:
        """
        Return the record of an approval.

        :param question: what was asked, see :func:`asked`.
        :param at: when it was given; None for now.
        """
        given = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
        return cls(by=by, why=why, at=given, **question)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Approval:
        """Read a record."""
        why, champion = str(kept["why"] or ""), kept["champion"]
        since = str(kept["champion_since"] or "")
        return cls(str(kept["by"]), why, str(kept["at"]), str(kept["version"]), champion, since)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        return asdict(self)

    def check(self, version: str, auto_approve: bool, approved_by: str) -> None:
        """
        Check that this approves a version.

        :param auto_approve: whether candidates need no approver now.
        :param approved_by: the task to clear for another approval.
        :raises BadInputError: it approves another version, or nobody approved it.
        """
        if self.version != version:
            raise BadInputError(
                f"version {version} is not approved: {self.by} approved version {self.version}. Clear "
                f"{approved_by} and the tasks after it; production is as it was"
            )
        if self.by == AUTO_APPROVE and not auto_approve:
            raise BadInputError(
                f"version {version} was approved by the setting {AUTO_APPROVE}, which is off now. Clear "
                f"{approved_by} and the tasks after it; production is as it was"
            )

    def refuse_superseded(self, model: str, now: ModelVersion | None, asked_by: str) -> None:
        """
        Refuse if another version was promoted since the approver was asked.

        :param now: the version in production.
        :param asked_by: the task to clear for a new comparison.
        :raises NothingPendingError: the version was promoted again since, by a later approval.
        :raises SupersededError: production has another version than the approver compared with.
        """
        if now is not None and now.version == self.version:
            if now.approved_at > self.at:
                raise NothingPendingError(
                    f"nothing to promote: version {self.version} of {model} is in production by a later "
                    "approval"
                )
            # Or an earlier try of this task has moved the alias.
            return
        if (now and now.version, now.promoted_at if now else "") != (self.champion, self.champion_since):
            since = f"version {now.version} of {model} was promoted" if now else f"{model} lost its champion"
            rival = f"version {self.champion}" if self.champion else "none"
            raise SupersededError(
                f"{since} since version {self.version} was compared with {rival}: clear {asked_by} and the "
                f"tasks after it, or trigger the DAG with {self.version} as `model_version`; production is "
                "as it was"
            )


def asked(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an approver decides about: a candidate, and the version that it replaces."""
    return {
        "version": str(candidate["version"]),
        "champion": candidate["champion"],
        "champion_since": str(candidate["champion_since"] or ""),
    }

"""What a watcher remembers, in the state store of the watched asset, over restarts of the triggerer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pending:
    """
    An event that its consumer has not acknowledged yet.

    :param old: the commit before the change.
    :param since: number of the consumer's acknowledgements when the event was fired.
    """

    old: str
    since: int


@dataclass(frozen=True)
class WatchState:
    """
    How far a watcher is.

    :param commit: the head that was dealt with last: reported, or without a change of watched paths.
    :param pending: what was reported and is not acknowledged.
    """

    commit: str
    pending: Pending | None = None

    @classmethod
    def from_json(cls, value: Any) -> WatchState | None:
        """Read an entry of the state store; None if there is none, or if it is malformed."""
        if not isinstance(value, dict) or not isinstance(value.get("commit"), str):
            return None
        pending: Any = value.get("pending")
        try:
            return cls(value["commit"], Pending(str(pending["old"]), int(pending["since"])))
        except (TypeError, ValueError, KeyError):
            return cls(value["commit"])

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the state store."""
        pending = self.pending and {"old": self.pending.old, "since": self.pending.since}
        return {"commit": self.commit, "pending": pending}

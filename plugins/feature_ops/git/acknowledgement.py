"""
Acknowledgements: how a DAG reports to a git watcher which commits it has evaluated.

A watcher with ``evaluated_by`` repeats its event until the DAG of that name has acknowledged the head. They
are kept in the state store of the watched asset, one entry per DAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context
    from airflow.sdk.definitions.asset import AssetNameRef

_KEPT = 20


@dataclass(frozen=True)
class Acknowledgements:
    """
    The commits that one DAG has evaluated.

    :param count: number of acknowledgements so far.
    :param recent: the newest of them: their number and their commit, the newest last.
    :param failed: the commit whose runs failed last.
    :param failures: ids of its failed runs.
    """

    count: int = 0
    recent: tuple[tuple[int, str], ...] = ()
    failed: str = ""
    failures: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> Acknowledgements:
        """Read an entry of the state store; one that is missing or malformed counts as empty."""
        try:
            recent = tuple((int(number), str(commit)) for number, commit in value["recent"])
            failures = tuple(map(str, value["failures"]))
            return cls(int(value["count"]), recent, str(value["failed"]), failures)
        except (TypeError, ValueError, KeyError):
            return cls()

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the state store."""
        recent = [[number, commit] for number, commit in self.recent]
        failures = list(self.failures)
        return {"count": self.count, "recent": recent, "failed": self.failed, "failures": failures}

    @property
    def latest(self) -> str | None:
        """The commit that was acknowledged last."""
        return self.recent[-1][1] if self.recent else None

    def since(self, count: int) -> list[str]:
        """Return the commits that were acknowledged after the first ``count`` ones, the newest first."""
        # The store was emptied meanwhile: all that it holds is newer.
        start = count if count <= self.count else 0
        return [commit for number, commit in reversed(self.recent) if number > start]

    def added(self, commit: str) -> Acknowledgements:
        """Return the acknowledgements with one more."""
        number = self.count + 1
        return Acknowledgements(number, (*self.recent, (number, commit))[-_KEPT:])

    def failed_again(self, commit: str, run_id: str) -> Acknowledgements:
        """Return the acknowledgements with one more failed run of the commit."""
        others = [run for run in self.failures if run != run_id] if commit == self.failed else []
        return replace(self, failed=commit, failures=(*others, run_id))


def store_key(dag_id: str) -> str:
    """Return the key of a DAG's acknowledgements in the asset's state store."""
    return f"evaluated by {dag_id}"


def acknowledge(context: Context | Mapping[str, Any], asset: Asset | AssetNameRef, commit: str) -> None:
    """
    Report that the DAG of the running task has evaluated a commit.

    :param context: the task's context.
    :param asset: the watched asset; it must be an inlet of the task.
    :param commit: full hash.
    """
    save(context, asset, load(context, asset).added(commit))


def load(context: Context | Mapping[str, Any], asset: Asset | AssetNameRef) -> Acknowledgements:
    """Return the acknowledgements of the running task's DAG."""
    key = store_key(str(context["dag_run"].dag_id))
    return Acknowledgements.from_json(context["asset_state_store"][asset].get(key))


def save(
    context: Context | Mapping[str, Any], asset: Asset | AssetNameRef, acknowledged: Acknowledgements
) -> None:
    """Keep the acknowledgements of the running task's DAG."""
    key = store_key(str(context["dag_run"].dag_id))
    context["asset_state_store"][asset].set(key, acknowledged.to_json())

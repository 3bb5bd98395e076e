"""Whether a training still follows from the newest comparison when a task acts on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from feature_ops.exceptions import SupersededError
from feature_ops.training.model_registry import ModelVersion


@dataclass(frozen=True)
class Basis:
    """
    What a run trains on.

    :param commit: the commit that is trained.
    :param applied: the commits of which one must be the applied one.
    :param resolved_at: when the run compared git with the registry, ISO time in UTC.
    :param compared_by: the task to clear for a new comparison.
    """

    commit: str
    applied: Collection[str | None]
    resolved_at: str
    compared_by: str


def refuse_superseded(model: str, basis: Basis, applied: str | None, in_test: ModelVersion | None) -> None:
    """
    Refuse to go on with a training once a later run has applied or deployed something else.

    :param applied: the commit that is applied now.
    :param in_test: the version with the alias ``test`` now; it is later if its run compared later.
    :raises SupersededError: names what came since.
    """
    if applied not in basis.applied:
        raise SupersededError(
            f"commit {(applied or 'none')[:10]} was applied since this run compared {basis.commit[:10]}: "
            f"{_remedy(basis)}"
        )
    if in_test is not None and in_test.resolved_at > basis.resolved_at:
        raise SupersededError(
            f"version {in_test.version} of {model} (commit {in_test.git_commit[:10]}) was deployed to test "
            f"by a later run than this one of {basis.commit[:10]}: {_remedy(basis)}"
        )


def _remedy(basis: Basis) -> str:
    return (
        f"clear {basis.compared_by} and the tasks after it, or trigger the DAG with {basis.commit[:10]} as "
        "`revision`; nothing was changed"
    )

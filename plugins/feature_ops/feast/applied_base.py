"""Whether a comparison of a commit with the applied one still holds when somebody acts on it."""

from __future__ import annotations

from feature_ops.exceptions import SupersededError
from feature_ops.feast.applied_commit import AppliedState


def refuse_stale_base(commit: str, base: AppliedState, now: AppliedState, compared_by: str) -> None:
    """
    Refuse to apply a commit if the registry has changed since the commit was compared with it.

    An earlier try of the same apply is no such change, whether it was completed or not.

    :param base: the registry's state when the commit was compared with it.
    :param now: the registry's state, read under the lock.
    :param compared_by: the task to clear for a new comparison.
    :raises SupersededError: names the commit that was applied since.
    """
    if now.begun not in (None, commit, base.begun):
        raise SupersededError(
            f"the apply of commit {now.begun[:10]} was begun since {commit[:10]} was compared with the "
            f"registry: {_remedy(commit, compared_by)}"
        )
    if now.applied == commit or (now.applied, now.applied_at) == (base.applied, base.applied_at):
        return
    since = f"commit {now.applied[:10]} was applied" if now.applied else "the registry was emptied"
    rival = base.applied[:10] if base.applied else "the registry"
    raise SupersededError(
        f"{since} since {commit[:10]} was compared with {rival}: {_remedy(commit, compared_by)}"
    )


def _remedy(commit: str, compared_by: str) -> str:
    return (
        f"clear {compared_by} and the tasks after it, or trigger the DAG with {commit[:10]} as `revision`; "
        "nothing was applied"
    )

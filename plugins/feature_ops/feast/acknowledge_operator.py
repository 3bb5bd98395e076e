"""The step at the end of a run that reports to the git watcher whether the commit is evaluated."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from feature_ops.alerts.alert import Alert
from feature_ops.exceptions import NothingPendingError
from feature_ops.git.acknowledgement import load, save
from feature_ops.operator import REFUSED, Outcome, ReconcilingOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.asset import AssetNameRef

log = logging.getLogger(__name__)

_DONE = ("success", "skipped", "removed")


class Ending(StrEnum):
    """How a run ended for its commit."""

    EVALUATED = "evaluated"
    REFUSED = "refused"
    TO_BE_CLEARED = "applied, and a task is to be cleared"
    FAILED_LATER = "failed after the commit was decided about"
    UNDECIDED = "not decided about"


def ending(
    states: Mapping[str, str | None], refused: Collection[str], decided_by: str, only_once: Collection[str]
) -> Ending:
    """
    Return how a run ended for its commit.

    :param states: the state of each other task of the run.
    :param refused: tasks that refused their input: to run them again cannot help.
    :param decided_by: the last task without which nothing is decided about the commit.
    :param only_once: tasks that a further run of the commit skips.
    """
    not_done = [task for task, state in states.items() if state not in _DONE]
    if not not_done:
        return Ending.EVALUATED
    if any(states.get(task) == "failed" for task in refused):
        return Ending.REFUSED
    if any(states.get(task) == "failed" for task in only_once):
        return Ending.TO_BE_CLEARED
    return Ending.UNDECIDED if decided_by in not_done else Ending.FAILED_LATER


class AcknowledgeOperator(ReconcilingOperator):
    """
    Acknowledge the run's commit to the git watcher, which otherwise reports it again.

    To be the teardown of the DAG that the watcher names in ``evaluated_by``, so that it runs in the end,
    however the other tasks ended. A commit is acknowledged after a run without a failure, and after one that
    refused it with a clear error. If nothing was decided about it, because a server was away, it is not. If
    what follows the decision fails, such as a training, the run is repeated a few times.

    :param asset: the watched asset.
    :param resolved_by: task whose result names the commit.
    :param classified_by: task whose result tells whether the commit needs to be applied.
    :param decided_by: task that ends the decision about the commit.
    :param only_once: tasks that a further run of the commit skips, since it is applied: if one of them fails,
        only clearing it helps, so the commit is acknowledged.
    :param attempts: runs of a commit, decided about, that may fail before it is acknowledged anyway.
    """

    def __init__(
        self,
        *,
        asset: AssetNameRef,
        resolved_by: str = "resolve_commits",
        classified_by: str = "diff_feature_service",
        decided_by: str = "apply",
        only_once: Collection[str] = ("backfill",),
        attempts: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(inlets=[asset], **kwargs)
        self.asset = asset
        self.resolved_by = resolved_by
        self.classified_by = classified_by
        self.decided_by = decided_by
        self.only_once = tuple(only_once)
        self.attempts = attempts

    def reconcile(self, context: Context) -> Outcome:
        """Look at how the other tasks of the run ended."""
        commit = self._result(context, self.resolved_by).get("commit")
        if not commit:
            raise NothingPendingError(
                f"{self.resolved_by} found no commit: nothing is acknowledged, and the watcher reports its "
                "commit again"
            )
        if self._is_postponed(context):
            raise NothingPendingError(f"{commit[:10]} was not to be applied by this run: not acknowledged")
        how = self._ending(context)
        if how is Ending.UNDECIDED:
            raise NothingPendingError(
                f"{commit[:10]} is not evaluated, since a task failed: the watcher reports it again"
            )
        if how is Ending.TO_BE_CLEARED:
            log.error(
                "%s is applied, but %s failed: clear it with what follows it",
                *(commit[:10], " or ".join(self.only_once)),
            )
        acknowledged = load(context, self.asset)
        if how is Ending.FAILED_LATER:
            acknowledged = acknowledged.failed_again(commit, context["dag_run"].run_id)
            failures = len(acknowledged.failures)
            if failures < self.attempts:
                save(context, self.asset, acknowledged)
                raise NothingPendingError(
                    f"{commit[:10]}: run {failures} of {self.attempts} failed after "
                    f"{self.decided_by}: the watcher reports it again"
                )
            log.error(
                "%s runs of %s failed: it is not reported again; clear the failed task, or trigger a run",
                *(failures, commit[:10]),
            )
        save(context, self.asset, acknowledged.added(commit))
        return Outcome(f"{commit[:10]} is acknowledged: {how}", {"commit": commit, "ending": str(how)})

    def _is_postponed(self, context: Context) -> bool:
        """Whether the run left a change of features to the run that the commit itself starts."""
        alert = Alert.of_run(context["dag_run"].conf)
        return alert is not None and bool(self._result(context, self.classified_by).get("needed"))

    def _ending(self, context: Context) -> Ending:
        ti: Any = context["ti"]
        run_id = context["dag_run"].run_id
        found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
        states = {task: state for task, state in found.items() if task != self.task_id}
        failed = [task for task, state in states.items() if state == "failed"]
        refused = [task for task in failed if ti.xcom_pull(task_ids=task, key=REFUSED)]
        return ending(states, refused, self.decided_by, self.only_once)

    def _result(self, context: Context, task_id: str) -> Mapping[str, Any]:
        ti: Any = context["ti"]
        result = ti.xcom_pull(task_ids=task_id)
        return result if isinstance(result, Mapping) else {}

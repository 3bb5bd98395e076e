"""The base of the package's operators: do the work, then leave a summary of one line."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import (
    BadInputError,
    FeatureOpsError,
    MissingResultError,
    NothingPendingError,
    SupersededError,
)
from feature_ops.git.errors import GitError
from feature_ops.masking import describe_unexpected, without_user_info
from feature_ops.ui.status import State, report
from feature_ops.upstream import ReadsResults, leave_skipped
from feature_ops.work_folder import without_scratch_paths

log = logging.getLogger(__name__)

# Key of the XCom that a task leaves when it refuses its input, as opposed to one that could not do its work.
REFUSED = "refused"
_UNEXPECTED = "If a retry fails the same way, report this line with the traceback in the task's log"
# Facts of any step that the page shows.
_SHOWN = ("dataset", "source", "failed_views", "unchecked")


@dataclass(frozen=True)
class Outcome:
    """
    What a step did.

    :param summary: one line for people, shown in the task's state store and at the end of its log.
    :param facts: small JSON facts for later tasks (URIs, counts, times as ISO strings).
    """

    summary: str
    facts: dict[str, Any] = field(default_factory=dict)


class ReconcilingOperator(BaseOperator, ReadsResults):
    """
    A step that compares what is wanted with what is there and closes the difference.

    A subclass implements :meth:`reconcile`. A :class:`BadInputError` fails the task without a
    retry, a :class:`NothingPendingError` skips it and what follows, anything else may be retried.
    Each leaves a summary, so that nobody has to open the log to learn why.
    """

    @abstractmethod
    def reconcile(self, context: Context) -> Outcome:
        """Close the difference and say what was done."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Run :meth:`reconcile` once all needed results exist; returns its facts as the task's XCom."""
        return self.tell(context, self._checked)

    def tell(self, context: Context, work: Callable[[Context], Outcome]) -> dict[str, Any]:
        """Do the work of a step, or of a part of it, and leave a summary; returns its facts."""
        try:
            outcome = work(context)
        except SupersededError as error:
            # The page in Airflow goes on showing the newer run.
            summarize(context, str(error), logging.ERROR)
            raise AirflowFailException(str(error)) from None
        except BadInputError as error:
            line = for_users(str(error))
            self._end(context, "failed", line, error=error)
            # A git server that refuses the credentials, or a missing result, says nothing about the input.
            if "ti" in context and not isinstance(error, GitError | MissingResultError):
                context["ti"].xcom_push(key=REFUSED, value=True)
            raise AirflowFailException(line) from None
        except NothingPendingError as nothing:
            self._end(context, "skipped", str(nothing), error=nothing)
            leave_skipped(context, str(nothing))
            raise AirflowSkipException(str(nothing)) from None
        except FeatureOpsError as error:
            # Airflow logs the exception, too.
            error.args = (for_users(str(error)),)
            self._end(context, "failed", str(error), error=error)
            raise
        except Exception as error:
            self._end(context, "failed", f"{for_users(describe_unexpected(error))}. {_UNEXPECTED}")
            raise
        self._end(context, "success", outcome.summary, outcome)
        return outcome.facts

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """
        Return what the *Feature store* page shows of the step beyond its state and summary, as plain JSON.

        A value under ``point`` goes to the ring buffer for charts and lists. The ``result`` of an error is
        added to it.

        :param outcome: what the step did; None if it failed or had nothing to do.
        """
        facts = outcome.facts if outcome else {}
        return {name: facts[name] for name in _SHOWN if name in facts}

    def _checked(self, context: Context) -> Outcome:
        self.require_results()
        return self.reconcile(context)

    def _end(
        self,
        context: Context,
        state: State,
        line: str,
        outcome: Outcome | None = None,
        error: FeatureOpsError | None = None,
    ) -> None:
        summarize(context, line, logging.ERROR if state == "failed" else logging.INFO)
        facts: dict[str, Any] = {}
        try:
            facts |= self.status(outcome)
        except Exception as failure:
            log.warning(
                "The Feature store page shows no details of this ending: %s (%s)",
                failure,
                type(failure).__name__,
            )
        facts |= error.result if error else {}
        report(self, context, state, line, facts, refused=isinstance(error, BadInputError))


def for_users(line: str) -> str:
    """Return a line without user info of addresses and without paths of scratch directories."""
    return without_scratch_paths(without_user_info(line))


def summarize(context: Context, line: str, level: int = logging.INFO) -> None:
    """Leave a task's summary in its state store, which outlives the task, and in its log."""
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    with passing(CommitPoint.SUMMARY_TOLD):
        context["task_state_store"].set("summary", line, retention=NEVER_EXPIRE)
    log.log(level, "%s", line)

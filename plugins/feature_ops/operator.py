"""The base of the package's operators: do the work, then say in one line what happened."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import BadInputError, FeatureOpsError, NothingPendingError
from feature_ops.git.errors import GitError
from feature_ops.ui.status import State, tell
from feature_ops.upstream import ReadsResults, leave_skipped

log = logging.getLogger(__name__)

# Key of the XCom that a task leaves when it refuses its input, as opposed to one that could not do its work.
REFUSED = "refused"


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
        except BadInputError as error:
            self._end(context, "failed", str(error))
            # A git server that does not let the account in says nothing about the input.
            if "ti" in context and not isinstance(error, GitError):
                context["ti"].xcom_push(key=REFUSED, value=True)
            raise AirflowFailException(str(error)) from None
        except NothingPendingError as nothing:
            self._end(context, "skipped", str(nothing))
            leave_skipped(context, str(nothing))
            raise AirflowSkipException(str(nothing)) from None
        except FeatureOpsError as error:
            self._end(context, "failed", str(error))
            raise
        except Exception as error:
            # Not its text: what a library says may hold a secret, which only the log masks.
            self._end(context, "failed", f"failed with {type(error).__name__}: see the log")
            raise
        self._end(context, "success", outcome.summary, outcome)
        return outcome.facts

    def status(self, outcome: Outcome | None) -> Mapping[str, Any] | None:
        """
        Return what the page in Airflow shows of the step, as plain JSON; None if it shows nothing of it.

        :param outcome: what the step did; None if it failed or had nothing to do.
        """
        return None

    def _checked(self, context: Context) -> Outcome:
        self.require_results()
        return self.reconcile(context)

    def _end(self, context: Context, state: State, line: str, outcome: Outcome | None = None) -> None:
        summarize(context, line)
        try:
            facts = self.status(outcome)
        except Exception as error:
            log.warning("The page in Airflow is not told of this: %s (%s)", error, type(error).__name__)
            return
        if facts is not None:
            tell(self, context, state, line, facts)


def summarize(context: Context, line: str) -> None:
    """Leave a task's one line for people: in its state store, which outlives it, and in its log."""
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    with passing(CommitPoint.SUMMARY_TOLD):
        context["task_state_store"].set("summary", line, retention=NEVER_EXPIRE)
    log.info("%s", line)

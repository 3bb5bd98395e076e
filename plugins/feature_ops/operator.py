"""The base of the package's operators: do the work, then say in one line what happened."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import BadInputError, FeatureOpsError, NothingPendingError


@dataclass(frozen=True)
class Outcome:
    """
    What a step did.

    :param summary: one line for people, shown in the task's state store and at the end of its log.
    :param facts: small JSON facts for later tasks (URIs, counts, times as ISO strings).
    """

    summary: str
    facts: dict[str, Any] = field(default_factory=dict)


class ReconcilingOperator(BaseOperator):
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
        """Run :meth:`reconcile`; returns its facts as the task's XCom."""
        try:
            outcome = self.reconcile(context)
        except BadInputError as error:
            self._summarize(context, str(error))
            raise AirflowFailException(str(error)) from None
        except NothingPendingError as nothing:
            self._summarize(context, str(nothing))
            raise AirflowSkipException(str(nothing)) from None
        except FeatureOpsError as error:
            self._summarize(context, str(error))
            raise
        except Exception as error:
            # Not its text: what a library says may hold a secret, which only the log masks.
            self._summarize(context, f"failed with {type(error).__name__}: see the log")
            raise
        self._summarize(context, outcome.summary)
        return outcome.facts

    def _summarize(self, context: Context, line: str) -> None:
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        with passing(CommitPoint.SUMMARY_TOLD):
            context["task_state_store"].set("summary", line, retention=NEVER_EXPIRE)
        self.log.info("%s", line)

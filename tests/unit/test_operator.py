"""However a step ends, it leaves one line for people."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.exceptions import BadInputError, FeatureOpsError, NothingPendingError
from feature_ops.operator import Outcome, ReconcilingOperator


class StateStoreStandIn(dict[str, Any]):
    """A dictionary in the place of Airflow's task state store."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value


class Step(ReconcilingOperator):
    """A step that ends as it is told."""

    def __init__(self, *, ending: Outcome | Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ending = ending

    def reconcile(self, context: Context) -> Outcome:
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported to the page in Airflow."""
    monkeypatch.setattr("feature_ops.operator.report", lambda *_, **__: None)


def run(ending: Outcome | Exception) -> tuple[dict[str, Any] | Exception, str]:
    """Run a step; returns its facts or its error, and its summary."""
    state = StateStoreStandIn()
    context: Any = {"task_state_store": state}
    step = Step(task_id="step", ending=ending)
    try:
        result: dict[str, Any] | Exception = step.execute(context)
    except Exception as error:
        result = error
    return result, state["summary"]


def test_a_step_that_succeeds_returns_its_facts() -> None:
    assert run(Outcome("2 rows", {"rows": 2})) == ({"rows": 2}, "2 rows")


@pytest.mark.parametrize(
    ("ending", "kind", "summary"),
    [
        (BadInputError("column x: no"), AirflowFailException, "column x: no"),
        (NothingPendingError("all is online"), AirflowSkipException, "all is online"),
        (FeatureOpsError("the remote is down"), FeatureOpsError, "the remote is down"),
        (
            OSError("cannot open: password=hunter2\nmore"),
            OSError,
            "unexpected OSError: cannot open: password=***. If a retry fails the same way, report this line "
            "with the traceback in the task's log",
        ),
        (
            FeatureOpsError("https://ada:hunter2@host does not respond"),
            FeatureOpsError,
            "https://***@host does not respond",
        ),
        (
            BadInputError("/tmp/feature-ops-work-validate-a1b2c3d4/scratch/x.parquet is damaged"),
            AirflowFailException,
            "x.parquet is damaged",
        ),
    ],
)
def test_a_step_that_does_not_succeed_says_why(
    ending: Exception, kind: type, summary: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "feature_ops.operator"):
        result, said = run(ending)
    assert type(result) is kind
    assert said == summary
    level = logging.INFO if kind is AirflowSkipException else logging.ERROR
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, summary)]
    if isinstance(ending, FeatureOpsError):
        assert "hunter2" not in str(result)

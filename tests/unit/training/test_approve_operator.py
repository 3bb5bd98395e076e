"""The question to a person is the person's own: no parameter of the DAG's form is asked for again."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferred

from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.promotion_operators import ApproveOperator

QUESTION = {"version": "3", "champion": "1", "champion_since": "2026-02-01T10:00:00+00:00"}
MODEL = Model(name="toy", feature_service="tracks_fs", command=("-m", "toy"))


def test_only_the_reason_is_asked_for() -> None:
    with DAG("promote", start_date=datetime(2024, 1, 1), params={"model_version": Param(None)}):
        approve = ApproveOperator(task_id="approve", model=MODEL, candidate={})
    assert list(approve.serialized_params) == ["why"]
    approve.validate_params_input({"why": "as good"})


def answered(option: str) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"why": "not before the weekend"},
        "responded_at": datetime(2026, 3, 1, tzinfo=UTC),
        "responded_by_user": {"id": "1", "name": "ada"},
    }


@pytest.mark.parametrize(("option", "word"), [("Approve", "approved"), ("Reject", "rejected")])
def test_who_decided_and_why_is_told(option: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        "feature_ops.training.promotion_operators.summarize", lambda context, line, *_: told.append(line)
    )
    with DAG("promote", start_date=datetime(2024, 1, 1)):
        approve = ApproveOperator(task_id="approve", model=MODEL, candidate={"version": "3"})
        approve >> ApproveOperator(task_id="after", model=MODEL, candidate={})
    context: Any = {"task": approve, "ti": SimpleNamespace(map_index=-1, xcom_push=lambda **_: None)}

    if option == "Reject":
        with pytest.raises(DownstreamTasksSkipped):
            approve.execute_complete(context, answered(option), QUESTION)
    else:
        record = approve.execute_complete(context, answered(option), QUESTION)
        assert record == {
            "by": "ada",
            "why": "not before the weekend",
            "at": "2026-03-01T00:00:00.000+00:00",
            **QUESTION,
        }

    assert told == [f"{word} by ada: not before the weekend"]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(
        "feature_ops.training.promotion_operators.summarize", lambda context, line, *_: lines.append(line)
    )
    return lines


def test_an_approval_is_of_the_version_that_was_asked_about(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another candidate may have been found by the time the approver answers."""
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **_: None)
    candidate = {**QUESTION, "subject": "Promote?", "body": "", "in_test": "3"}
    approve = ApproveOperator(task_id="approve", model=MODEL, candidate={**candidate, "body": "better"})
    context: Any = {"task_instance": SimpleNamespace(id="01a21a91-6939-7d99-9e3c-0c0b5f2013a2")}
    with pytest.raises(TaskDeferred) as waits:
        approve.execute(context)

    approve.candidate = {**candidate, "version": "4"}
    assert waits.value.kwargs is not None
    record = approve.execute_complete(context, answered("Approve"), **waits.value.kwargs)

    assert record["version"] == "3"


@pytest.mark.parametrize("user", [None, {}, {"id": "1", "name": ""}])
def test_an_answer_of_nobody_approves_nothing(user: Any, lines: list[str]) -> None:
    approve = ApproveOperator(task_id="approve", model=MODEL, candidate={})
    context: Any = {}
    with pytest.raises(AirflowFailException, match=r"names no approver\. Clear `approve`"):
        approve.execute_complete(context, {**answered("Approve"), "responded_by_user": user}, QUESTION)
    assert len(lines) == 1


def test_a_question_of_an_older_release_needs_the_candidate(lines: list[str]) -> None:
    approve = ApproveOperator(task_id="approve", model=MODEL, candidate=None)
    context: Any = {}
    with pytest.raises(AirflowFailException, match="needs the result of"):
        approve.execute_complete(context, answered("Approve"))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that Airflow is given."""
    put: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **question: put.append(question),
    )
    monkeypatch.setattr(
        "feature_ops.training.promotion_operators.summarize",
        lambda context, line, *_: put.append({"line": line}),
    )
    return put


def worse() -> tuple[ApproveOperator, Any]:
    candidate = {
        "version": "3",
        "subject": "Version 3?",
        "body": "worse",
        "in_test": "3",
        "champion": "2",
        "champion_since": "",
        "reason_required": True,
        "accepted_regression": {"reason": "the licence ends", "user": "ada"},
    }
    with DAG("promote", start_date=datetime(2024, 1, 1)):
        approve = ApproveOperator(task_id="approve", model=MODEL, candidate=candidate)
    instance = SimpleNamespace(id="01a21a91-6939-7d99-9e3c-0c0b5f2013a2", map_index=-1)
    return approve, {"task": approve, "ti": instance, "task_instance": instance}


def test_the_form_of_a_worse_model_can_not_be_sent_without_a_reason(questions: list[dict[str, Any]]) -> None:
    approve, context = worse()
    with pytest.raises(TaskDeferred):
        approve.execute(context)
    # Airflow's form takes a text field for filled if it has a default, be it empty.
    why = questions[0]["params"]["why"]
    assert why["value"] is None
    assert (why["schema"]["type"], why["schema"]["minLength"]) == ("string", 1)


@pytest.mark.parametrize("why", ["", "  ", None])
def test_a_worse_model_that_is_approved_without_a_reason_is_asked_for_again(
    why: str | None, questions: list[dict[str, Any]]
) -> None:
    approve, context = worse()
    event = {**answered("Approve"), "params_input": {"why": why}}
    with pytest.raises(TaskDeferred):
        approve.execute_complete(context, event)
    assert questions[0]["subject"] == "Version 3?"
    assert questions[-1]["line"] == "an approval needs a reason; waiting for approval: Version 3?"


def test_a_worse_model_is_approved_with_a_reason_and_rejected_without_one(
    questions: list[dict[str, Any]],
) -> None:
    approve, context = worse()
    record = approve.execute_complete(context, answered("Approve"))
    assert (record["by"], record["why"]) == ("ada", "not before the weekend")
    approve.execute_complete(context, {**answered("Reject"), "params_input": {"why": ""}})
    assert [told["line"] for told in questions] == [
        "approved by ada: not before the weekend",
        "rejected by ada",
    ]


def test_an_automatic_approval_has_the_reason_that_the_regression_was_accepted_for(
    questions: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_AUTO_APPROVE", "true")
    get_settings.cache_clear()
    approve, context = worse()
    try:
        record = approve.execute(context)
        assert (record["by"], record["why"]) == ("FEATURE_OPS_AUTO_APPROVE", "the licence ends")
    finally:
        get_settings.cache_clear()

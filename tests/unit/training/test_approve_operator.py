"""The question to a person is the person's own: no parameter of the DAG's form is asked for again."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import DownstreamTasksSkipped

from feature_ops.training.declaration import Model
from feature_ops.training.promotion_operators import ApproveOperator

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
        "feature_ops.training.promotion_operators.summarize", lambda context, line: told.append(line)
    )
    with DAG("promote", start_date=datetime(2024, 1, 1)):
        approve = ApproveOperator(task_id="approve", model=MODEL, candidate={"version": "3"})
        approve >> ApproveOperator(task_id="after", model=MODEL, candidate={})
    context: Any = {"task": approve, "ti": SimpleNamespace(map_index=-1, xcom_push=lambda **_: None)}

    if option == "Reject":
        with pytest.raises(DownstreamTasksSkipped):
            approve.execute_complete(context, answered(option))
    else:
        said = approve.execute_complete(context, answered(option))
        assert said == {"by": "ada", "why": "not before the weekend"}

    assert told == [f"{word} by ada: not before the weekend"]

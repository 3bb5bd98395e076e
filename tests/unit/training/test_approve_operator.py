"""The question to a person is the person's own: no parameter of the DAG's form is asked for again."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, Param

from feature_ops.training.declaration import Model
from feature_ops.training.promotion_operators import ApproveOperator

MODEL = Model(name="toy", feature_service="tracks_fs", command=("-m", "toy"))


def test_only_the_reason_is_asked_for() -> None:
    with DAG("promote", start_date=datetime(2024, 1, 1), params={"model_version": Param(None)}):
        approve = ApproveOperator(task_id="approve", model=MODEL, candidate={})
    assert list(approve.serialized_params) == ["why"]
    approve.validate_params_input({"why": "as good"})

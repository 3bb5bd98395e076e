"""The apply task passes on the definitions that were classified, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.feast.apply_process import Applied, ApplyRequest
from feature_ops.feast.definition_operators import ApplyOperator
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from tests.unit.test_operator import StateStoreStandIn

COMMIT = "c" * 40
CLASSIFIED = Definitions(
    "shop", {"entity": {"user": {"join_key": "id"}}}, (SerializedObject("entity", "user", b"message"),)
)
CHANGED = {
    "an object": replace(CLASSIFIED, objects={"entity": {"user": {"join_key": "other"}}}),
    "a message": replace(CLASSIFIED, protos=(SerializedObject("entity", "user", b"other"),)),
    "a label": replace(CLASSIFIED, protos=(SerializedObject("entity", "other", b"message"),)),
    "an obstacle": replace(CLASSIFIED, incomplete=("no schema",)),
    "the project": replace(CLASSIFIED, project="bank"),
}


def run(stored: Definitions, monkeypatch: pytest.MonkeyPatch) -> list[ApplyRequest]:
    """Run the task on what object storage holds now; returns what it asked for."""
    requests: list[ApplyRequest] = []

    def run_apply(request: ApplyRequest, *_: Any) -> Applied:
        requests.append(request)
        return Applied([], [], [], "s3://dump")

    hook = SimpleNamespace(
        object_store=None, feature_repo=Path(), project=lambda: "shop", environment=dict, secrets=set
    )
    monkeypatch.setattr("feature_ops.feast.hook.FeastHook", lambda *_: hook)
    monkeypatch.setattr("feature_ops.feast.definitions_store.DefinitionsStore.get", lambda *_: stored)
    monkeypatch.setattr("feature_ops.feast.applying.run_apply", run_apply)
    monkeypatch.setattr("feature_ops.training.live_models.live_features", lambda *_: {})
    monkeypatch.setattr("feature_ops.operator.report", lambda *_, **__: None)
    diff = {
        "commit": COMMIT,
        "verdict": "additive",
        "summary": "+ user",
        "definitions_uri": "s3://x",
        "definitions_digest": CLASSIFIED.digest(),
        "applied": None,
        "applied_at": None,
        "begun": None,
    }
    context: Any = {"task_state_store": StateStoreStandIn()}
    ApplyOperator(task_id="apply", diff=diff).execute(context)
    return requests


def test_what_was_classified_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    again = Definitions.from_json(CLASSIFIED.to_json())
    assert [request.definitions for request in run(again, monkeypatch)] == [CLASSIFIED]


@pytest.mark.parametrize("change", CHANGED)
def test_definitions_that_were_changed_since_are_not_applied(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AirflowFailException, match="is not what was classified"):
        run(CHANGED[change], monkeypatch)

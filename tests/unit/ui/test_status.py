"""What a step tells the page is kept with what its earlier runs told, and never stops the step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.ui import status
from feature_ops.ui.status import Ending, TaskStatus


class StoreStandIn:
    """Objects in a dictionary, in the place of the object store; somebody else may write meanwhile."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.meanwhile: list[bytes] = []

    def get_bytes(self, uri: str) -> tuple[bytes, str] | None:
        content = self.objects.get(uri)
        return None if content is None else (content, str(hash(content)))

    def replace_bytes(self, content: bytes, uri: str, version: str | None) -> bool:
        if self.meanwhile:
            self.objects[uri] = self.meanwhile.pop()
        there = self.get_bytes(uri)
        if (there and there[1]) != version:
            return False
        self.objects[uri] = content
        return True


class Step(ReconcilingOperator):
    """A step that ends as it is told and has something for the page."""

    def __init__(self, *, ending: Outcome | Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ending = ending

    def reconcile(self, context: Context) -> Outcome:
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending

    def status(self, outcome: Outcome | None) -> Mapping[str, Any] | None:
        if outcome and outcome.facts.get("broken"):
            raise OSError("the registry is away")
        return {"rows": outcome.facts["rows"] if outcome else None}


class Silent(Step):
    """A step that has nothing for the page."""

    def status(self, outcome: Outcome | None) -> Mapping[str, Any] | None:
        return None


URI = "s3://data/_status/adhoc_airflow/load.json"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> StoreStandIn:
    stand_in = StoreStandIn()
    monkeypatch.setattr(status, "_store", lambda: stand_in)
    return stand_in


def run(run_id: str, ending: Outcome | Exception, kind: type[Step] = Step) -> dict[str, Any]:
    context: Any = {
        "task_state_store": SimpleNamespace(set=lambda *_, **__: None),
        "dag_run": SimpleNamespace(run_id=run_id),
    }
    return kind(task_id="load", ending=ending).execute(context)


def told(store: StoreStandIn) -> TaskStatus:
    return TaskStatus.from_json(store.objects[URI])


def test_the_page_knows_how_the_last_runs_ended_and_the_last_success(store: StoreStandIn) -> None:
    run("one", Outcome("2 rows", {"rows": 2}))
    with pytest.raises(AirflowSkipException):
        run("two", NothingPendingError("all is online"))
    with pytest.raises(AirflowFailException):
        run("three", BadInputError("column x: no"))

    seen = told(store)
    assert [(ending.run_id, ending.state, ending.summary) for ending in seen.endings] == [
        ("three", "failed", "column x: no"),
        ("two", "skipped", "all is online"),
        ("one", "success", "2 rows"),
    ]
    assert seen.success is not None
    assert (seen.success.run_id, seen.success.facts) == ("one", {"rows": 2})


def test_a_retry_takes_the_place_of_the_try_before_it(store: StoreStandIn) -> None:
    with pytest.raises(AirflowFailException):
        run("one", BadInputError("no"))
    run("one", Outcome("2 rows", {"rows": 2}))
    assert [ending.state for ending in told(store).endings] == ["success"]


def test_only_the_last_runs_are_kept_and_the_last_success_however_old(store: StoreStandIn) -> None:
    run("first", Outcome("2 rows", {"rows": 2}))
    for number in range(30):
        with pytest.raises(AirflowSkipException):
            run(f"run {number}", NothingPendingError("all is online"))
    seen = told(store)
    assert [ending.run_id for ending in seen.endings] == [f"run {number}" for number in range(29, 19, -1)]
    assert seen.success is not None
    assert seen.success.run_id == "first"


def test_two_runs_that_tell_at_once_are_both_kept(store: StoreStandIn) -> None:
    other = TaskStatus("adhoc_airflow", "load").ended(Ending("other", "success", "1 row"))
    store.meanwhile = [other.to_json()]
    run("one", Outcome("2 rows", {"rows": 2}))
    assert [ending.run_id for ending in told(store).endings] == ["one", "other"]


def test_what_somebody_else_put_there_is_replaced(store: StoreStandIn) -> None:
    store.objects[URI] = b"[1, 2]"
    run("one", Outcome("2 rows", {"rows": 2}))
    assert [ending.run_id for ending in told(store).endings] == ["one"]


@pytest.mark.parametrize("outcome", [Outcome("2 rows", {"rows": 2, "broken": True}), Outcome("2 rows", {})])
def test_a_step_goes_on_if_the_page_cannot_be_told(
    store: StoreStandIn, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert run("one", outcome) == outcome.facts
    assert "The page in Airflow is not told of this" in caplog.text
    assert not store.objects


def test_a_step_goes_on_if_the_object_store_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(status, "_store", away)
    with caplog.at_level(logging.WARNING):
        assert run("one", Outcome("2 rows", {"rows": 2})) == {"rows": 2}
    assert "The page in Airflow is not told of this: refused" in caplog.text


def test_a_step_without_anything_for_the_page_writes_nothing(store: StoreStandIn) -> None:
    run("one", Outcome("2 rows", {"rows": 2}), Silent)
    assert not store.objects

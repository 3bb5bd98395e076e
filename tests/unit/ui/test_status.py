"""What a step tells the page is kept with what its earlier runs told, and never stops the step."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.exceptions import BadInputError, FeatureOpsError, NothingPendingError
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

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        if outcome and outcome.facts.get("broken"):
            raise OSError("the registry is away")
        return outcome.facts if outcome else {"rows": None, "point": {"rows": None}}


URI = "s3://data/_status/adhoc_airflow/load.json"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> StoreStandIn:
    stand_in = StoreStandIn()
    monkeypatch.setattr(status, "_store", lambda: stand_in)
    return stand_in


def run(run_id: str, ending: Outcome | Exception, map_index: int = -1) -> dict[str, Any]:
    context: Any = {
        "task_state_store": SimpleNamespace(set=lambda *_, **__: None),
        "dag_run": SimpleNamespace(
            run_id=run_id, run_after=datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
        ),
        "ti": SimpleNamespace(map_index=map_index, xcom_push=lambda **_: None),
    }
    return Step(task_id="load", ending=ending).execute(context)


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


def test_a_step_without_details_is_shown_all_the_same(
    store: StoreStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = Outcome("2 rows", {"rows": 2, "broken": True})
    with caplog.at_level(logging.WARNING):
        assert run("one", outcome) == outcome.facts
    assert "no details of this ending: the registry is away" in caplog.text
    assert [(ending.state, ending.facts) for ending in told(store).endings] == [("success", {})]


def test_a_step_goes_on_if_the_object_store_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(status, "_store", away)
    with caplog.at_level(logging.WARNING):
        assert run("one", Outcome("2 rows", {"rows": 2})) == {"rows": 2}
    assert "The Feature store page does not show this ending: refused" in caplog.text


def test_an_error_adds_its_result_and_says_whether_it_is_retried(store: StoreStandIn) -> None:
    with pytest.raises(AirflowFailException):
        run("one", BadInputError("no", {"quarantine": {"source": "a"}}))
    with pytest.raises(FeatureOpsError):
        run("two", FeatureOpsError("the store is down"))
    two, one = told(store).endings
    assert (one.facts["quarantine"], one.refused, two.refused) == ({"source": "a"}, True, False)
    assert one.run_after == "2026-01-01T00:00:00.000+00:00"


def test_instances_of_a_mapped_task_are_told_apart(store: StoreStandIn) -> None:
    for index in (0, 1):
        run("one", Outcome("2 rows", {"rows": index}), map_index=index)
    run("one", Outcome("3 rows", {"rows": 9}), map_index=0)
    assert [(ending.map_index, ending.facts["rows"]) for ending in told(store).endings] == [(0, 9), (1, 1)]


def points(store: StoreStandIn) -> list[tuple[str, str, Any]]:
    return [(point.run_id, point.state, point.values["rows"]) for point in told(store).points]


def loaded(rows: int) -> Outcome:
    return Outcome(f"{rows} rows", {"rows": rows, "point": {"rows": rows}})


def test_points_outlive_endings_in_a_ring_of_fifty(store: StoreStandIn) -> None:
    for number in range(60):
        run(f"run {number}", loaded(number))
    assert points(store) == [(f"run {number}", "success", number) for number in range(59, 9, -1)]
    assert all("point" not in ending.facts for ending in told(store).endings)


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        (loaded(2), ("success", 2)),
        (BadInputError("no"), ("failed", None)),
        # It found its own work done.
        (NothingPendingError("all is online"), ("success", 1)),
    ],
)
def test_a_rerun_replaces_its_point(
    store: StoreStandIn, again: Outcome | Exception, kept: tuple[str, Any]
) -> None:
    run("one", loaded(1))
    for _ in range(2):
        with suppress(AirflowFailException, AirflowSkipException):
            run("one", again)
    assert points(store) == [("one", *kept)]


def test_only_the_newest_ending_describes_the_current_state(store: StoreStandIn) -> None:
    for number in range(3):
        run(f"run {number}", Outcome("", {"rows": number, "online": [{"name": "songs"}]}))
    assert ["online" in ending.facts for ending in told(store).endings] == [True, False, False]
    assert [ending.facts["rows"] for ending in told(store).endings] == [2, 1, 0]


def test_the_status_of_other_releases_is_read() -> None:
    ending = {"run_id": "a", "state": "success", "summary": "", "facts": {}, "ended_at": ""}
    older = {"dag_id": "etl", "task_id": "load", "endings": [ending], "success": ending}
    newer = {**older, "endings": [{**ending, "colour": "red"}], "points": [], "more": 1}
    for content in (older, newer):
        assert TaskStatus.from_json(json.dumps(content).encode()).endings[0].run_id == "a"
    with pytest.raises(ValueError, match="not the status of a task"):
        TaskStatus.from_json(b'{"endings": 1}')


def test_what_json_can_not_hold_does_not_break_the_page() -> None:
    odd = TaskStatus("etl", "load").ended(
        Ending("a", "success", "", {"loss": float("nan"), "at": datetime(2026, 1, 1)})
    )
    facts = TaskStatus.from_json(odd.to_json()).endings[0].facts
    assert facts == {"loss": None, "at": "2026-01-01 00:00:00"}

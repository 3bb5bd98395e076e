"""A head is reported until a run has evaluated it, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.acknowledge_operator import Ending, ending
from feature_ops.git import outage
from feature_ops.git import trigger as trigger_module
from feature_ops.git.acknowledgement import Acknowledgements
from feature_ops.git.heads import WatchedRepository
from feature_ops.git.trigger import GitPathTrigger
from feature_ops.git.watch_state import Pending, WatchState
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.watching import DAG_ID, Airflow, Store, acknowledge, triggerer, until

INTERVAL = 0.05


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    """A repository with one commit, to which the git connection leads; repetitions come fast."""
    made = Clone(tmp_path)
    made.commit("first", {"feature_repo/a.py": "1", "README.md": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": made.url}))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setattr(trigger_module, "_LEAST_REPETITION", INTERVAL / 5)
    monkeypatch.setattr(outage, "_LONGEST_PAUSE", INTERVAL)
    get_settings.cache_clear()
    yield made
    get_settings.cache_clear()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def airflow(clone: Clone, store: Store, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """Scheduler and worker; they take the head of the branch."""
    made = Airflow(store, lambda: clone.serve("rev-parse", "main"))
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", made, raising=False)
    return made


@asynccontextmanager
async def watching(airflow: Airflow, store: Store, **arguments: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """Run a triggerer with the watcher until it is killed at the end."""
    made = GitPathTrigger(
        **{"paths": ["feature_repo/**"], "interval": INTERVAL, "evaluated_by": DAG_ID, **arguments}
    )
    async with triggerer() as running:
        events = running.start(made, store)
        scheduler = asyncio.create_task(airflow.follow(events))
        try:
            await until(lambda: store.commits, "the watcher has its baseline")
            yield events
        finally:
            scheduler.cancel()


class Looks:
    """Counts the requests to a server for its heads."""

    count = 0

    async def settled(self, events: list[dict[str, Any]]) -> None:
        """Wait for more looks than the longest pause is long: what would be repeated has been by then."""
        before, count = len(events), self.count
        await until(lambda: self.count > count + 6, "more looks at the server")
        assert len(events) == before, "a repetition that nothing called for"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    counted, real = Looks(), WatchedRepository.heads

    def heads(self: WatchedRepository) -> dict[str, str]:
        counted.count += 1
        return real(self)

    monkeypatch.setattr(WatchedRepository, "heads", heads)
    return counted


def push(clone: Clone, text: str = "2") -> str:
    return clone.commit(f"change {text}", {"feature_repo/a.py": text})


@pytest.mark.parametrize("first", ["success", "store is away"])
@pytest.mark.parametrize("killed", ["never", "before the event", "after the event"])
@pytest.mark.parametrize("paused", [False, True])
def test_the_head_is_evaluated_once(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks, paused: bool, killed: str, first: str
) -> None:
    airflow._endings = [] if first == "success" else [first]

    async def scenario() -> str:
        async with watching(airflow, store) as events:
            airflow.paused = paused
            if killed != "before the event":
                head = push(clone)
                await until(lambda: store.commits == [head], "the event is in the database")
            if killed == "never":
                if paused:
                    await until(lambda: len(events) > 1, "a repetition, which is lost as well")
                airflow.paused = False
                await until(lambda: store.acknowledged.latest == head, "the head is evaluated")
                await looks.settled(events)
                return head
        if killed == "before the event":
            head = push(clone)
        async with watching(airflow, store) as events:
            airflow.paused = False
            await until(lambda: store.acknowledged.latest == head, "the head is evaluated")
            await looks.settled(events)
        return head

    head = asyncio.run(scenario())
    failed = [(first, head)] if first != "success" else []
    assert airflow.runs == [*failed, ("success", head)]


def test_an_undisturbed_commit_is_one_event(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with watching(airflow, store) as events:
            airflow.holding = True  # a long run
            head = push(clone)
            await until(lambda: airflow.active, "the run has begun")
            await looks.settled(events)
            airflow.holding = False
            await until(lambda: store.acknowledged.latest == head, "the head is evaluated")
            await looks.settled(events)
            return events

    assert len(asyncio.run(scenario())) == 1
    assert len(airflow.runs) == 1


@pytest.mark.parametrize("first", ["refused", "backfill fails"])
def test_what_another_run_cannot_help_is_not_run_again(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks, first: str
) -> None:
    airflow._endings = [first]

    async def scenario() -> None:
        async with watching(airflow, store) as events:
            head = push(clone)
            await until(lambda: store.acknowledged.latest == head, "the run is acknowledged")
            await looks.settled(events)

    asyncio.run(scenario())
    assert [how for how, _ in airflow.runs] == [first]


def test_what_fails_after_the_decision_is_repeated_a_few_times_only(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    airflow._endings = ["training fails"] * 9

    async def scenario() -> None:
        async with watching(airflow, store) as events:
            head = push(clone)
            await until(lambda: store.acknowledged.latest == head, "the watcher gives up")
            await looks.settled(events)

    asyncio.run(scenario())
    assert len(airflow.runs) == 3
    assert [r.levelname for r in caplog.records if "it is not reported again" in r.getMessage()] == ["ERROR"]


def test_repetitions_come_less_and_less_often_with_one_line_each(
    clone: Clone,
    airflow: Airflow,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    attempts: list[tuple[int, float]] = []

    def noted(attempt: int, interval: float) -> float:
        attempts.append((attempt, interval))
        return 0.001

    monkeypatch.setattr(trigger_module, "backoff", noted)

    async def scenario() -> int:
        async with watching(airflow, store) as events:
            airflow.paused = True
            push(clone)
            await until(lambda: len(events) > 4, "four repetitions")
            return len(events)

    count = asyncio.run(scenario())
    assert attempts == [(number, INTERVAL) for number in range(1, count + 1)]
    lines = [r.getMessage() for r in caplog.records if "reported again" in r.getMessage()]
    assert len(lines) == count - 1
    assert lines[1].startswith(f"{DAG_ID} has not evaluated this yet; reported again (2), next in 0 s")


def test_waits_double_up_to_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_LONGEST_PAUSE", 300.0)
    for attempt, longest in enumerate([60, 120, 240, 300, 300], start=1):
        assert longest / 2 <= outage.backoff(attempt, 30) <= longest
    assert 500 <= outage.backoff(10_000, 1000) <= 1000


def test_without_a_named_dag_nothing_is_repeated(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with watching(airflow, store, evaluated_by=None) as events:
            airflow.paused = True
            head = push(clone)
            await until(lambda: store.commits == [head], "the event is in the database")
            await looks.settled(events)
            return events

    assert len(asyncio.run(scenario())) == 1


def test_a_rollback_is_not_undone_after_a_restart(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    """The head was evaluated, then a user applied an older commit on purpose."""
    old = clone.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(airflow, store):
            airflow.holding = True
            head = push(clone)
            await until(lambda: airflow.active and store.commits == [head], "a run has begun")
        airflow.active, airflow.holding = 0, False
        airflow.run(head)
        airflow.run(old)
        async with watching(airflow, store) as events:
            await looks.settled(events)
            assert events == []

    asyncio.run(scenario())
    assert len(airflow.runs) == 2


def test_a_head_that_goes_back_is_evaluated_again(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    old = clone.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(airflow, store) as events:
            airflow.run(old)
            head = push(clone)
            await until(lambda: store.acknowledged.latest == head, "the head is evaluated")
            airflow.paused = True
            clone.serve("update-ref", "refs/heads/main", old)
            await until(lambda: len(events) > 2, "a repetition")
            airflow.paused = False
            await until(lambda: store.acknowledged.latest == old, "the older head is evaluated again")
            await looks.settled(events)

    asyncio.run(scenario())
    assert len(airflow.runs) == 3


def test_a_commit_elsewhere_on_top_counts_as_the_same(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    """As the pointers of new data, which are committed while a run is under way."""

    async def scenario() -> None:
        async with watching(airflow, store) as events:
            airflow.holding = True
            head = push(clone)
            await until(lambda: airflow.active, "a run has begun")
            on_top = clone.commit("pointers", {"README.md": "2"})
            await until(lambda: store.commits == [on_top], "the watcher has seen it")
            airflow._head = lambda: head  # which the run took before
            airflow.holding = False
            await until(lambda: store.acknowledged.latest == head, "the commit is evaluated")
            await looks.settled(events)

    asyncio.run(scenario())
    assert len(airflow.runs) == 1


def test_a_commit_that_a_run_was_faster_with_is_not_reported(
    clone: Clone, airflow: Airflow, store: Store, looks: Looks
) -> None:
    """A run that new data started took the head before the watcher saw it."""

    async def scenario() -> None:
        async with watching(airflow, store):
            pass
        head = push(clone)
        airflow.run(head)
        async with watching(airflow, store) as events:
            await until(lambda: store.commits == [head], "the watcher has seen it")
            await looks.settled(events)
            assert events == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("states", "refused", "how"),
    [
        ({"diff": "success", "apply": "skipped", "train": "skipped"}, (), Ending.EVALUATED),
        ({"diff": "success", "apply": "success", "train": "removed"}, (), Ending.EVALUATED),
        ({}, (), Ending.EVALUATED),
        ({"diff": "failed", "apply": "upstream_failed", "train": "upstream_failed"}, (), Ending.UNDECIDED),
        ({"diff": "failed", "apply": "upstream_failed"}, ("diff",), Ending.REFUSED),
        ({"diff": "success", "apply": "failed"}, (), Ending.UNDECIDED),
        ({"diff": "success", "apply": "failed"}, ("apply",), Ending.REFUSED),
        # What it refused in an earlier try does not count.
        ({"diff": "failed", "apply": "upstream_failed"}, ("apply",), Ending.UNDECIDED),
        ({"apply": "success", "backfill": "failed", "train": "upstream_failed"}, (), Ending.TO_BE_CLEARED),
        ({"apply": "success", "backfill": "success", "train": "failed"}, (), Ending.FAILED_LATER),
        ({"apply": "success", "train": "failed", "check": "upstream_failed"}, ("train",), Ending.REFUSED),
        ({"apply": None, "train": None}, (), Ending.UNDECIDED),
    ],
)
def test_the_states_of_the_tasks_say_how_a_run_ended_for_its_commit(
    states: dict[str, str | None], refused: tuple[str, ...], how: Ending
) -> None:
    assert ending(states, refused, "apply", ("backfill",)) is how


def test_an_alert_run_leaves_the_commit_to_its_own_run(store: Store) -> None:
    alert = {"alert": {"name": "Drift", "fingerprint": "c1b7", "starts_at": "2026-11-30T00:00:00Z"}}
    assert "not acknowledged" in acknowledge(store, "a" * 40, conf=alert)
    assert store == {}


def test_a_run_without_a_commit_acknowledges_nothing(store: Store) -> None:
    assert acknowledge(store, "a" * 40, "git is away").startswith("resolve_commits found no commit")
    assert store == {}


def test_acknowledgements_are_counted_and_the_newest_are_kept() -> None:
    found = Acknowledgements()
    for number in range(30):
        found = Acknowledgements.from_json(json.loads(json.dumps(found.added(f"c{number}").to_json())))
    assert (found.count, found.latest, len(found.recent)) == (30, "c29", 20)
    assert found.since(28) == ["c29", "c28"]
    assert found.since(30) == []
    # The store was emptied after the event.
    assert len(found.since(31)) == 20


def test_failures_are_counted_in_a_row_and_end_with_an_acknowledgement() -> None:
    found = Acknowledgements().failed_again("a", "1").failed_again("a", "2")
    assert Acknowledgements.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.failures == ("1", "2")
    # The task was tried again.
    assert found.failed_again("a", "2").failures == ("1", "2")
    assert found.failed_again("b", "3").failures == ("3",)
    assert found.added("a").failures == ()


@pytest.mark.parametrize(
    "value",
    [None, [], "x", 7, {}, {"count": "x"}, {"count": 1, "recent": [1], "failed": "", "failures": []}],
)
def test_malformed_entries_of_the_state_store_count_as_none(value: Any) -> None:
    assert Acknowledgements.from_json(value) == Acknowledgements()
    assert WatchState.from_json(value) is None


@pytest.mark.parametrize("pending", [None, [], "x", {}, {"old": "a"}, {"old": "a", "since": "x"}])
def test_a_malformed_pending_event_counts_as_none(pending: Any) -> None:
    assert WatchState.from_json({"commit": "a", "pending": pending}) == WatchState("a")


@pytest.mark.parametrize("state", [WatchState(""), WatchState("a"), WatchState("a", Pending("", 3))])
def test_the_state_of_a_watcher_is_read_as_it_was_written(state: WatchState) -> None:
    assert WatchState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert WatchState.from_json({"commit": "a", "branch": "main", "paths": []}) == WatchState("a")


@pytest.mark.parametrize("value", ["", "  ", 7, ["continuous_training"]])
def test_the_dag_must_be_named(value: Any) -> None:
    with pytest.raises(TypeError, match="the id of a DAG"):
        GitPathTrigger(paths=["a"], evaluated_by=value)

"""A stand-in for Airflow's triggerer, around its real shared streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.asset import AssetNameRef
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.comms import DRCount, GetDRCount
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.shared_stream import SharedStreamManager

from feature_ops.feast.acknowledge_operator import AcknowledgeOperator
from feature_ops.git.acknowledgement import Acknowledgements, store_key
from feature_ops.git.trigger import GitPathTrigger

DAG_ID = "continuous_training"
ASSET = AssetNameRef("feature_definitions")


class Store(dict[str, Any]):
    """Stands in for one asset's state store; keeps JSON, as the database does."""

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self[key]) if key in self else default

    def set(self, key: str, value: Any) -> None:
        self[key] = json.dumps(value)

    async def aget(self, key: str) -> Any:
        return self.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.set(key, value)

    @property
    def commits(self) -> list[str]:
        """The commits noted, one for each watcher."""
        return [found["commit"] for found in map(json.loads, self.values()) if "commit" in found]

    @property
    def acknowledged(self) -> Acknowledgements:
        """What the DAG has acknowledged."""
        return Acknowledgements.from_json(self.get(store_key(DAG_ID)))


class Stores:
    """Stands in for what a trigger gets: the stores of all its assets."""

    def __init__(self, *stores: Store) -> None:
        self._by_name = {str(number): store for number, store in enumerate(stores)}


def through_airflow(trigger: GitPathTrigger) -> GitPathTrigger:
    """Return the trigger as the triggerer makes it from what the DAG processor stored."""
    encoded = json.loads(json.dumps(encode_trigger(trigger)))
    arguments = {name: smart_decode_trigger_kwargs(value) for name, value in encoded["kwargs"].items()}
    made = type(trigger)(**arguments)
    assert made.serialize() == trigger.serialize()
    assert f"{type(made).__module__}.{type(made).__qualname__}" == encoded["classpath"]
    return made


class Triggerer:
    """
    Runs triggers as Airflow's triggerer does.

    ``persisting`` says whether their events reach the database.
    """

    def __init__(self) -> None:
        self.persisting = True
        self.raised: list[BaseException] = []
        self._streams = SharedStreamManager()
        self._tasks: dict[int, tuple[Any, asyncio.Task[None]]] = {}

    def start(self, trigger: GitPathTrigger, *stores: Store) -> list[dict[str, Any]]:
        """Start a trigger; returns the list that its events appear in."""
        made = through_airflow(trigger)
        made.asset_state_store = Stores(*stores)
        events: list[dict[str, Any]] = []
        number = len(self._tasks)
        key = made.shared_stream_key()
        self._tasks[number] = (key, asyncio.create_task(self._run(number, made, key, events)))
        return events

    async def stop(self) -> None:
        """Stop everything, as a restart or a kill does."""
        for number, (key, task) in self._tasks.items():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._streams.unsubscribe(number, key)
        await self._streams.stop_all()

    @property
    def groups(self) -> int:
        """How many shared streams run."""
        return len(self._streams._groups)

    async def _run(self, number: int, trigger: Any, key: Any, events: list[dict[str, Any]]) -> None:
        try:
            looks = self._streams.subscribe(trigger_id=number, trigger=trigger, key=key)
            async for event in trigger.filter_shared_stream(looks):
                seq = self._streams.bind_pending_event(trigger_id=number, key=key)
                events.append(json.loads(json.dumps(event.payload)))
                if self.persisting and seq is not None:
                    self._streams.confirm_persisted([seq])
        except Exception as error:
            self.raised.append(error)


# What the tasks of a run are in the end: those named, and the others as they follow from it.
ENDINGS: dict[str, dict[str, str]] = {
    "success": {"resolve_commits": "success", "diff_feature_service": "success", "apply": "success"},
    "refused": {"resolve_commits": "success", "diff_feature_service": "failed", "apply": "upstream_failed"},
    "git is away": {"resolve_commits": "failed", "apply": "upstream_failed"},
    "store is away": {
        "resolve_commits": "success",
        "diff_feature_service": "failed",
        "apply": "upstream_failed",
    },
    "backfill fails": {
        "resolve_commits": "success",
        "apply": "success",
        "backfill": "failed",
        "retrain": "upstream_failed",
    },
    "training fails": {"resolve_commits": "success", "apply": "success", "retrain": "failed"},
}


class Airflow:
    """
    Stands in for scheduler and worker: what comes in while the DAG is paused is lost, as it is there.

    :param head: returns the commit that a run takes when it starts.
    :param endings: how the runs end, one of :data:`ENDINGS` each; all further ones end well.
    """

    def __init__(self, store: Store, head: Callable[[], str], endings: tuple[str, ...] = ()) -> None:
        self.paused = False
        self.holding = False
        self.runs: list[tuple[str, str]] = []
        self.active = 0
        self._store, self._head, self._endings = store, head, list(endings)

    async def asend(self, message: GetDRCount) -> DRCount:
        """Answer what a trigger requests of Airflow."""
        assert (message.dag_id, message.states) == (DAG_ID, ["queued", "running"])
        return DRCount(count=self.active)

    async def follow(self, events: list[dict[str, Any]]) -> None:
        """Make runs of the events in a list, one run of all that wait."""
        seen = 0
        while True:
            await asyncio.sleep(0.005)
            new, seen = len(events) - seen, len(events)
            if new and not self.paused:
                self.active = 1
                while self.holding:
                    await asyncio.sleep(0.005)
                self.run(self._head())
                self.active = 0

    def run(self, commit: str) -> None:
        """Let a run of a commit end, and its last task acknowledge it."""
        how = self._endings.pop(0) if self._endings else "success"
        self.runs.append((how, commit))
        acknowledge(self._store, commit, how, run_id=f"run {len(self.runs)}")


def acknowledge(
    store: Store,
    commit: str,
    how: str = "success",
    conf: dict[str, Any] | None = None,
    run_id: str = "run",
) -> str:
    """Execute the last task of a run; returns its line."""
    from tests.unit.test_operator import StateStoreStandIn

    states = {**ENDINGS[how], "acknowledge": "running"}
    results: dict[tuple[str, str], Any] = {("diff_feature_service", "return_value"): {"needed": True}}
    if states["resolve_commits"] == "success":
        results["resolve_commits", "return_value"] = {"commit": commit}
    if how == "refused":
        results["diff_feature_service", "refused"] = True
    context: Any = {
        "dag_run": SimpleNamespace(dag_id=DAG_ID, run_id=run_id, conf=conf or {}),
        "ti": SimpleNamespace(
            dag_id=DAG_ID,
            get_task_states=lambda dag_id, run_ids: {run_id: states},
            xcom_pull=lambda task_ids, key="return_value": results.get((task_ids, key)),
            xcom_push=lambda **_: None,
        ),
        "asset_state_store": {ASSET: store},
        "task_state_store": StateStoreStandIn(),
    }
    with suppress(AirflowSkipException), pytest.MonkeyPatch.context() as patch:
        patch.setattr("feature_ops.operator.report", lambda *_, **__: None)
        AcknowledgeOperator(task_id="acknowledge", asset=ASSET).execute(context)
    return str(context["task_state_store"]["summary"])


@asynccontextmanager
async def triggerer() -> AsyncIterator[Triggerer]:
    """Yield a triggerer that is stopped at the end and in which nothing raised."""
    running = Triggerer()
    try:
        yield running
    finally:
        await running.stop()
    assert running.raised == []


async def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Wait for a condition, fail after that time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what

"""A stand-in for Airflow's triggerer, around its real shared streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.shared_stream import SharedStreamManager

from feature_ops.git.trigger import GitPathTrigger


class Store(dict[str, Any]):
    """Stands in for one asset's state store; keeps JSON, as the database does."""

    async def aget(self, key: str) -> Any:
        return json.loads(self[key]) if key in self else None

    async def aset(self, key: str, value: Any) -> None:
        self[key] = json.dumps(value)

    @property
    def commits(self) -> list[str]:
        """The commits noted, one for each watcher."""
        return [json.loads(value)["commit"] for value in self.values()]


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

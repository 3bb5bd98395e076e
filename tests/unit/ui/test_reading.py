"""Many who look at the page ask the object store seldom, and learn in words when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_ops.object_store import ObjectStore, StoredObject
from feature_ops.object_store_failures import ObjectStoreError
from feature_ops.ui import reading as module
from feature_ops.ui.reading import Reader, Reading, Snapshot, read_all
from feature_ops.ui.status import TaskStatus

TOLD = Snapshot((TaskStatus("etl", "materialize"),))


class Source:
    """Something to read that may be away."""

    def __init__(self) -> None:
        self.reads = 0
        self.failure: Exception | None = None

    def __call__(self) -> Snapshot:
        self.reads += 1
        if self.failure:
            raise self.failure
        return TOLD


def look(source: Callable[[], Any], *times: float, **options: float) -> list[Reading]:
    """Look at the page at these times of a clock."""

    async def all_looks() -> list[Reading]:
        clock = {"now": 0.0}
        reader = Reader(source, clock=lambda: clock["now"], **options)
        readings = []
        for at in times:
            clock["now"] = at
            readings.append(await reader.reading())
        return readings

    return asyncio.run(all_looks())


def test_what_was_read_does_for_a_moment() -> None:
    source = Source()
    readings = look(source, 0, 1, 2.9, every=3)
    assert source.reads == 1
    assert all(reading.snapshot is TOLD for reading in readings)
    look(source, 0, 3.1, every=3)
    assert source.reads == 3


def test_many_at_once_are_one_reading() -> None:
    source = Source()

    async def together() -> None:
        reader = Reader(source)
        await asyncio.gather(*(reader.reading() for _ in range(50)))

    asyncio.run(together())
    assert source.reads == 1


def test_what_was_read_before_stays_with_the_reason_when_the_store_is_away() -> None:
    source = Source()
    clock = {"now": 0.0}

    async def play() -> list[Reading]:
        reader = Reader(source, every=1, clock=lambda: clock["now"])
        first = await reader.reading()
        source.failure, clock["now"] = ObjectStoreError("the object store does not answer: check it"), 2.0
        second = await reader.reading()
        source.failure, clock["now"] = None, 4.0
        return [first, second, await reader.reading()]

    first, second, third = asyncio.run(play())
    assert second.problem == "the object store does not answer: check it"
    assert (second.snapshot, second.read_at) == (TOLD, first.read_at)
    assert third.problem is None


def test_a_store_that_hangs_is_not_waited_for() -> None:
    began = time.monotonic()
    (reading,) = look(lambda: time.sleep(1), 0, limit=0.1)
    assert reading.problem == "the object store did not respond within 0 seconds: check that it runs"
    assert reading.read_at is None
    # asyncio.run waits for its threads.
    assert time.monotonic() - began < 5


def test_an_unexpected_failure_tells_no_secret() -> None:
    source = Source()
    source.failure = OSError("password=hunter2")
    (reading,) = look(source, 0)
    assert reading.problem == "OSError: see the API server's log"


def test_what_can_not_be_read_is_left_out_and_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TaskStatus("etl", "materialize")
    objects = {
        "s3://data/_status/etl/materialize.json": task.to_json(),
        "s3://data/_status/etl/broken.json": b"{",
        "s3://data/_status/etl/notes.txt": b"",
        "s3://data/_live_models/a.json": b'{"model": "jukebox@test", "features": ["songs:energy"]}',
        "s3://data/_live_models/odd.json": b'{"model": "odd"}',
    }
    store = ListedStandIn(objects)
    monkeypatch.setattr(ObjectStore, "from_connection", lambda _: ObjectStore())
    monkeypatch.setattr(module, "replace", lambda *_, **__: store)
    assert read_all() == Snapshot((task,), {"jukebox@test": ("songs:energy",)})


class ListedStandIn:
    """Objects in a dictionary, in the place of the object store."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def list(self, prefix: str) -> list[StoredObject]:
        now = datetime.now(UTC)
        return [StoredObject(uri, 1, now) for uri in self.objects if uri.startswith(prefix)]

    def get_bytes(self, uri: str) -> tuple[bytes, str] | None:
        return self.objects[uri], "1"

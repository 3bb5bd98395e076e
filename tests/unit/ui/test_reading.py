"""Many who look at the page ask the object store seldom, and learn in words when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from feature_ops.object_store_failures import ObjectStoreError
from feature_ops.ui.reading import Reader, Reading
from feature_ops.ui.status import TaskStatus

TOLD = [TaskStatus("etl", "materialize")]


class Source:
    """Something to read that may be away."""

    def __init__(self) -> None:
        self.reads = 0
        self.failure: Exception | None = None

    def __call__(self) -> list[TaskStatus]:
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
    assert {reading.tasks for reading in readings} == {tuple(TOLD)}
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
    assert (second.tasks, second.read_at) == (tuple(TOLD), first.read_at)
    assert third.problem is None


def test_a_store_that_hangs_is_not_waited_for() -> None:
    began = time.monotonic()
    (reading,) = look(lambda: time.sleep(1), 0, limit=0.1)
    assert reading.problem == "the object store did not answer within 0 seconds: check that it runs"
    assert reading.read_at is None
    # asyncio.run waits for its threads.
    assert time.monotonic() - began < 5


def test_an_unexpected_failure_tells_no_secret() -> None:
    source = Source()
    source.failure = OSError("password=hunter2")
    (reading,) = look(source, 0)
    assert reading.problem == "OSError: see the API server's log"

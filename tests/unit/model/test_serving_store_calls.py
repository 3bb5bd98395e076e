"""A store that hangs or is down holds up nobody for long, and what does not need it not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from jukebox.serving.app import Service, create_app
from jukebox.serving.breaker import CircuitBreaker
from jukebox.serving.loop_clock import LoopClock
from jukebox.serving.metrics import Metrics
from jukebox.serving.problems import StoreUnavailableError, UnavailableError
from jukebox.serving.songs import SongNames
from jukebox.serving.store_calls import StoreCalls, StoreRead

CALLERS = 200


class Store:
    """An online store that can hang, be down, or hold nonsense; knows no song."""

    def __init__(self) -> None:
        self.responds = threading.Event()
        self.responds.set()
        self.error: Exception | None = None
        self.reads = 0

    def freshness(self) -> dict[str, datetime]:
        return {}

    def read(self, songs: list[str]) -> list[None]:
        self.reads += 1
        assert self.responds.wait(60)
        if self.error:
            raise self.error
        return [None] * len(songs)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.responds.set()


def calls(timeout_seconds: float = 60, pause_seconds: float = 0) -> StoreCalls:
    return StoreCalls(timeout_seconds, CircuitBreaker(failures=5, pause_seconds=pause_seconds))


def serve(store: Store, calls: StoreCalls) -> tuple[Service, httpx.AsyncClient]:
    serving = SimpleNamespace(
        reader=store,
        loaded_at=datetime.now(UTC),
        version="1",
        model=SimpleNamespace(
            features=[], classes=[], bins=None, facts={"git_commit": "c", "dataset_version": "d"}
        ),
    )
    follower: Any = SimpleNamespace(serving=serving, alias="test", refused=None, troubles={})
    service = Service(follower, SongNames(None), Metrics(), poll=60, calls=calls)
    transport = httpx.ASGITransport(create_app(service))
    return service, httpx.AsyncClient(transport=transport, base_url="http://service", timeout=None)


def counted(service: Service, outcome: str) -> float:
    return float(service.metrics.predictions.labels("single", outcome)._value.get())


def test_all_callers_get_503_while_the_store_hangs(store: Store) -> None:
    async def play() -> None:
        service, http = serve(store, calls(timeout_seconds=0.05, pause_seconds=3600))
        unavailable, unknown = counted(service, "unavailable"), counted(service, "unknown")
        store.responds.clear()
        answers = await asyncio.gather(*(http.get(f"/predict/{n}") for n in range(CALLERS)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
        assert {answer.json()["detail"] for answer in answers} == {
            "the online store does not answer (timeout)"
        }
        assert store.reads < 20, "the others did not try"
        store.responds.set()
        service.calls._threads.shutdown()
        assert counted(service, "unavailable") == unavailable + CALLERS
        assert counted(service, "unknown") == unknown

    asyncio.run(play())


def test_a_store_that_hangs_for_ever_takes_a_limited_number_of_threads(store: Store) -> None:
    async def play() -> None:
        service, http = serve(store, calls(timeout_seconds=0.001))
        store.responds.clear()
        for _ in range(10):
            answers = await asyncio.gather(*(http.get(f"/predict/{n}") for n in range(10)))
            assert {answer.status_code for answer in answers} == {503}
        assert len(service.calls.stuck) <= 24
        # What needs no store is not held up; a busy machine may take longer than the deadline above.
        service.calls._timeout = 60
        assert (await http.get("/predict/%00")).status_code == 422
        store.responds.set()
        async with asyncio.timeout(60):
            while service.calls.stuck:
                await asyncio.sleep(0)
        assert (await http.get("/predict/a")).status_code == 404

    asyncio.run(play())


def test_liveness_and_readiness_respond_while_all_requests_wait_for_the_store(store: Store) -> None:
    async def play() -> None:
        _, http = serve(store, calls())
        store.responds.clear()
        waiting = [asyncio.create_task(http.get(f"/predict/{n}")) for n in range(CALLERS)]
        async with asyncio.timeout(60):
            while not store.reads:
                await asyncio.sleep(0)
        for path in ("/health/live", "/health/ready", "/metrics", "/songs?q=a", "/"):
            assert (await http.get(path)).status_code == 200
        assert not any(task.done() for task in waiting)
        store.responds.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {404}

    asyncio.run(play())


def test_serves_again_when_the_store_is_back(store: Store) -> None:
    async def play() -> None:
        service, http = serve(store, calls())
        store.error = StoreUnavailableError("the online store does not answer (ConnectionError)")
        for _ in range(10):
            assert (await http.get("/predict/a")).status_code == 503
        assert service.calls.breaker.is_open
        store.error = None
        assert (await http.get("/predict/a")).status_code == 404
        assert not service.calls.breaker.is_open

    asyncio.run(play())


def test_an_open_circuit_keeps_the_reason_and_still_refuses_invalid_ids(store: Store) -> None:
    async def play() -> None:
        _, http = serve(store, calls(pause_seconds=3600))
        store.error = StoreUnavailableError("the online store does not answer (ConnectionError)")
        for _ in range(10):
            answer = await http.get("/predict/a")
            assert answer.json() == {"detail": "the online store does not answer (ConnectionError)"}
        assert store.reads == 5
        assert (await http.get("/predict/%00")).status_code == 422

    asyncio.run(play())


@pytest.mark.parametrize("error", [UnavailableError("the online store holds str"), KeyError("a bug")])
def test_a_failure_of_one_id_does_not_open_the_circuit(store: Store, error: Exception) -> None:
    async def play() -> None:
        service, _ = serve(store, calls())
        store.error = error
        for _ in range(10):
            with pytest.raises(type(error)):
                await service.calls.run(lambda reading: service.predict("single", ["a"], 1, reading))
        assert not service.calls.breaker.is_open

    asyncio.run(play())


@pytest.mark.parametrize(
    ("responded_at", "now", "left"),
    [
        (float("-inf"), 100.0, 1.0),
        (float("-inf"), 101.5, -0.5),
        (99.0, 101.5, -0.5),
        (101.0, 101.5, 0.5),
        (101.0, 102.0, 0.0),
    ],
    ids=["begins", "no response ever", "no response since", "responds to others", "responds no more"],
)
def test_a_read_may_take_longer_only_while_the_store_responds(
    responded_at: float, now: float, left: float
) -> None:
    times = [100.0, now]
    running = StoreCalls(timeout_seconds=1, clock=LoopClock(lambda: times.pop(0)))
    running.responded_at = responded_at
    assert running.seconds_left(StoreRead(running)) == left


def test_time_in_which_this_process_stood_still_does_not_count(store: Store) -> None:
    async def play() -> None:
        service, _ = serve(store, calls(timeout_seconds=0.8))
        watch = asyncio.create_task(service.calls.clock.watch())
        store.responds.clear()
        request = asyncio.create_task(
            service.calls.run(lambda read: service.predict("single", ["a"], 1, read))
        )
        async with asyncio.timeout(60):
            while not store.reads:
                await asyncio.sleep(0)
        # As if another thread held the interpreter, or the machine ran other processes.
        time.sleep(2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not request.done()
        store.responds.set()
        _, (prediction,) = await request
        assert prediction.outcome == "unknown"
        watch.cancel()

    asyncio.run(play())


def test_polls_of_a_page_are_not_counted(store: Store) -> None:
    async def play() -> None:
        service, http = serve(store, calls())
        # The counters belong to the process, so other tests may have counted, too.
        unknown, unavailable = counted(service, "unknown"), counted(service, "unavailable")
        await http.get("/predict/a")
        for _ in range(3):
            assert (await http.get("/predict/a?poll=true")).status_code == 404
        store.error = StoreUnavailableError("the online store does not answer (ConnectionError)")
        assert (await http.get("/predict/a?poll=true")).status_code == 503
        assert counted(service, "unknown") == unknown + 1
        assert counted(service, "unavailable") == unavailable

    asyncio.run(play())

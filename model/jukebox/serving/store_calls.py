"""
Requests that read the online store: in few threads of their own, and never waiting for a store that is down.

The other endpoints share no thread with them, so that liveness does not depend on the store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from jukebox.serving.breaker import CircuitBreaker, Permit
from jukebox.serving.loop_clock import LoopClock
from jukebox.serving.problems import StoreUnavailableError

T = TypeVar("T")

#: Default seconds after which a read of the online store has failed.
TIMEOUT_SECONDS = 0.7
# Python code of one process does not become faster by more threads; these hide the latency of the store.
_CONCURRENT = 8
# Reads that still wait for the store after their requests have been answered: more are not risked.
_MAX_STUCK = 16
_THREADS = _CONCURRENT + _MAX_STUCK + _CONCURRENT
_TIMEOUT = "the online store does not answer (timeout)"


class StoreRead:
    """
    The read of the online store within one request: ``with read: …``.

    :raises StoreUnavailableError: on entry, if the circuit is open.
    """

    def __init__(self, calls: StoreCalls) -> None:
        self._calls = calls
        self.began = calls.clock()
        self._permit: Permit | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_over and len(self._calls.stuck) < _MAX_STUCK:
                self._permit = self._calls.breaker.enter()
            if self._permit is None:
                self._is_over = True
                raise StoreUnavailableError(self._calls.reason)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = str(error) if isinstance(error, StoreUnavailableError) else None
        if self._finish(failure):
            return
        # The request has been answered without it.
        self._calls.stuck.discard(self)
        if error is None:
            raise StoreUnavailableError(_TIMEOUT)

    @property
    def is_over(self) -> bool:
        """Whether the read has ended, or was given up."""
        return self._is_over

    def give_up(self) -> bool:
        """Record that the store does not respond; returns False if the read has ended meanwhile."""
        return self._finish(_TIMEOUT, is_stuck=True)

    def _finish(self, failure: str | None, is_stuck: bool = False) -> bool:
        """Record the result of the read; returns False if it has one already."""
        with self._lock:
            if self._is_over:
                return False
            self._is_over = True
            if failure is None:
                self._calls.responded_at = self._calls.clock()
            else:
                self._calls.reason = failure
            if self._permit:
                self._calls.breaker.leave(self._permit, succeeded=failure is None)
                if is_stuck:
                    self._calls.stuck.add(self)
            return True


class StoreCalls:
    """
    Runs requests that read the online store.

    :param timeout_seconds: for one read. A read may take longer only while the store responds to others.
    :param clock: what measures the timeout; ``clock.watch()`` is to run beside the requests.
    """

    def __init__(
        self,
        timeout_seconds: float = TIMEOUT_SECONDS,
        breaker: CircuitBreaker | None = None,
        clock: LoopClock | None = None,
    ) -> None:
        self.breaker = breaker or CircuitBreaker()
        self.reason = "the online store does not answer"
        self.responded_at = float("-inf")
        self.stuck: set[StoreRead] = set()
        self.clock = clock or LoopClock()
        self._timeout = timeout_seconds
        self._slots = asyncio.Semaphore(_CONCURRENT)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    async def run(self, work: Callable[[StoreRead], T]) -> T:
        """
        Return what the work returns, which runs in a thread.

        :raises StoreUnavailableError: the read takes too long; its thread is left alone.
        """
        # The time in the queue counts.
        read = StoreRead(self)
        async with self._slots:
            future = asyncio.get_running_loop().run_in_executor(self._threads, work, read)
            while True:
                wait = None if read.is_over else max(0.0, self.seconds_left(read))
                await asyncio.wait({future}, timeout=wait)
                if future.done():
                    return future.result()
                if self.seconds_left(read) <= 0 and read.give_up():
                    future.cancel()
                    raise StoreUnavailableError(_TIMEOUT)

    def seconds_left(self, read: StoreRead) -> float:
        """Return how long to wait for a read: until the store has not responded to any for the timeout."""
        return max(read.began, self.responded_at) + self._timeout - self.clock()

    def close(self) -> None:
        """End the threads as they become idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

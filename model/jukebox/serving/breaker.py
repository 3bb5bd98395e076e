"""Circuit breaker: stop calling a server that is down, and notice within a moment that it is back."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable


class Permit(enum.Enum):
    """Why a call may be made: the circuit is closed, or this call finds out whether to close it."""

    CALL = "call"
    PROBE = "probe"


class CircuitBreaker:
    """
    Opens after consecutive failures; then lets one probe at a time pass, until one succeeds.

    May be shared by threads.

    :param failures: consecutive failures that open the circuit.
    :param pause_seconds: time without any call after it opened, and after each probe that failed.
    :param clock: returns seconds that never go back.
    """

    def __init__(
        self, failures: int = 5, pause_seconds: float = 0.5, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._pause, self._clock = failures, pause_seconds, clock
        self._failures = 0
        self._opened_at: float | None = None
        self._is_probing = False
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, except for probes."""
        return self._opened_at is not None

    def enter(self) -> Permit | None:
        """Return a permit, which is to be given to ``leave`` exactly once; None if the call is refused."""
        with self._lock:
            if self._opened_at is None:
                return Permit.CALL
            if self._is_probing or self._clock() < self._opened_at + self._pause:
                return None
            self._is_probing = True
            return Permit.PROBE

    def leave(self, permit: Permit, succeeded: bool) -> None:
        """Record the result of a call."""
        with self._lock:
            if permit is Permit.PROBE:
                self._is_probing = False
                self._failures = 0
                self._opened_at = None if succeeded else self._clock()
            elif self._opened_at is None:
                # Results of calls that began before the circuit opened do not count.
                self._failures = 0 if succeeded else self._failures + 1
                if self._failures >= self._limit:
                    self._opened_at = self._clock()

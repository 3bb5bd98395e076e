"""A clock for deadlines: it stands still while this process does not run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_TICK_SECONDS = 0.05
# A busy event loop is late by less; a process without CPU, or one that loads a model, by more.
_STALL_SECONDS = 0.1


class LoopClock:
    """
    Seconds that never go back, without those in which the event loop stood still.

    A server did not take too long to respond if it was this process that could not read the response.

    :param clock: returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stalled = 0.0

    def __call__(self) -> float:
        """Return the seconds now."""
        return self._clock() - self._stalled

    async def watch(self) -> None:
        """Notice when the event loop stands still; runs until it is cancelled."""
        while True:
            before = self._clock()
            await asyncio.sleep(_TICK_SECONDS)
            late = self._clock() - before - _TICK_SECONDS
            if late > _STALL_SECONDS:
                self._stalled += late

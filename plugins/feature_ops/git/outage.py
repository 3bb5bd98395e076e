"""Exponential backoff, and an outage that is logged once when it starts and once when it ends."""

from __future__ import annotations

import logging
import random

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 300.0


def backoff(attempt: int, interval: float) -> float:
    """
    Return the seconds to wait after an attempt: twice as long each time, at most five minutes.

    Drawn from the upper half of that time, so that many who wait do not come back together.

    :param attempt: its number, from 1.
    :param interval: seconds that half of the first wait takes at most; also the least maximum.
    """
    longest = min(max(_LONGEST_PAUSE, interval), interval * 2 ** min(attempt, 20))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing


class Outage:
    """
    Counts what fails in a row.

    :param what: what is held up, for the log.
    :param interval: seconds between two tries while all is well.
    """

    def __init__(self, what: str, interval: float) -> None:
        self._what = what
        self._interval = interval
        self._failures = 0

    def failed(self, error: BaseException) -> float:
        """Count one more failure; returns the seconds to wait before the next try."""
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "%s is held up; it is tried again, less and less often, until it works: %s",
                *(self._what, error),
            )
        return backoff(self._failures, self._interval)

    def over(self) -> None:
        """Note that it worked."""
        if self._failures:
            log.info("%s works again after %s failed tries", self._what, self._failures)
        self._failures = 0

"""Something that does not work for a while: said once, tried less and less often, its end said once."""

from __future__ import annotations

import logging
import random

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 300.0


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
        """Note one more failure; returns the seconds to wait, drawn so that crowds come apart."""
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "%s is held up; it is tried again, less and less often, until it works: %s",
                *(self._what, error),
            )
        longest = min(max(_LONGEST_PAUSE, self._interval), self._interval * 2 ** min(self._failures, 20))
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing

    def over(self) -> None:
        """Note that it worked."""
        if self._failures:
            log.info("%s works again after %s failed tries", self._what, self._failures)
        self._failures = 0

"""Tells how far a load is: to Feast's bar on a terminal, and to the log now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """
    How far the load of one view is.

    :param view: the view's name.
    :param total: how many rows are to be sent.
    :param bar: makes a progress bar of so many rows on the terminal, if there is one; None for no bar.
    :param began: when the load began, by the monotonic clock.
    """

    def __init__(self, view: str, total: int, bar: Callable[[int], Any] | None, began: float) -> None:
        self._view, self._total = view, total
        # Elsewhere, as in the log of a task, it is one line too many, and told as an error.
        self._bar = bar(total) if bar and total and sys.stderr.isatty() else None
        self._began = self._told = began
        self._first_sent = time.monotonic()
        self._sent = self._written = 0

    def add(self, sent: int, written: int) -> None:
        """Count rows that were sent to the store, and those of them that it took as news."""
        self._sent += sent
        self._written += written
        if self._bar is not None:
            self._bar.update(sent)
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            rate = self._sent / max(now - self._first_sent, 1e-6)
            log.info(
                "%s: %s of %s rows (%.0f %%), %s rows/s, %.0f s to go",
                *(self._view, f"{self._sent:,}", f"{self._total:,}", 100 * self._sent / self._total),
                *(f"{rate:,.0f}", (self._total - self._sent) / max(rate, 1e-6)),
            )

    def end(self, looked_at: int) -> int:
        """
        Tell the whole; returns how many rows were written.

        :param looked_at: rows of which these were the latest.
        """
        if self._bar is not None:
            self._bar.close()
        seconds = max(time.monotonic() - self._began, 1e-6)
        log.info(
            "%s: %s row%s written, the latest of %s, in %.1f s (%s rows/s)",
            *(self._view, f"{self._written:,}", "" if self._written == 1 else "s"),
            *(f"{looked_at:,}", seconds, f"{self._written / seconds:,.0f}"),
        )
        return self._written

"""Wait for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from demo.errors import DemoError

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], what: str, timeout: float, interval: float = 0.05, remedy: str = "try again"
) -> T:
    """
    Return the condition's first true value.

    :param condition: asked again and again; an ``OSError`` from it counts as "not yet".
    :param what: what is waited for, as in "PostgreSQL answers".
    :param timeout: seconds before a :class:`DemoError`.
    :param interval: seconds between two questions.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise DemoError(f"Waited {timeout:.0f} s in vain until {what}: {remedy}.")
        time.sleep(interval)

"""Workers that call one function each, in forks of a process that has imported everything already."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.support.warm_python import WarmPython

# A worker that hangs longer than any step may take is ended by the system.
SECONDS = 150

_CALL = f"""
import importlib, json, os, signal, sys
signal.alarm({SECONDS})
module, name, arguments = json.loads(sys.stdin.readline())
answers = os.dup(1)
os.dup2(2, 1)
from tests.integration.kill_matrix.parsing import parse_in_this_process
parse_in_this_process()
result = getattr(importlib.import_module(module), name)(*arguments)
os.write(answers, json.dumps(result).encode())
"""


@dataclass(frozen=True)
class Ended:
    """
    How a worker ended.

    :param code: as of a process: 0, or the negative number of the signal that killed it.
    :param result: what the function returned.
    :param said: what it printed and logged.
    """

    code: int
    result: Any
    said: str


class Nursery:
    """
    Calls functions in workers of their own, two at a time.

    Functions must belong to modules; arguments and results must be JSON.
    """

    def __init__(self, warm_python: WarmPython, size: int = 2) -> None:
        self._warm_python = warm_python
        self._pool = ThreadPoolExecutor(size)

    def call(self, *calls: tuple[Callable[..., Any], tuple[Any, ...]]) -> Future[list[Ended]]:
        """Make the calls one after the other, each in a worker of its own."""
        return self._pool.submit(lambda: [self._call(*call) for call in calls])

    def close(self) -> None:
        """Wait for the workers."""
        self._pool.shutdown()

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Ended:
        worker = self._warm_python.start(_CALL)
        worker.stdin.write(json.dumps([function.__module__, function.__name__, arguments]) + "\n")
        answer, said = worker.communicate(2 * SECONDS)
        return Ended(worker.wait(SECONDS), json.loads(answer or "null"), said)

"""
Workers that begin in no time: they are forked from a process that has imported everything already.

As a program it is that process: it reads a call per line, makes it in a fork, and tells how it ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from feature_ops.preload import preload

PROJECT = Path(__file__).resolve().parents[3]

# What hangs longer than any step may take is ended by the system.
SECONDS = 150


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

    To be called: functions of modules, with arguments and a result that JSON can hold.
    """

    def __init__(self, size: int = 2) -> None:
        paths = (PROJECT, PROJECT / "plugins", PROJECT / "dags")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self._pool = ThreadPoolExecutor(size)
        self._parents: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        for _ in range(size):
            self._parents.put(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.integration.kill_matrix.nursery"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    cwd=PROJECT,
                    text=True,
                )
            )

    def call(self, *calls: tuple[Callable[..., Any], tuple[Any, ...]]) -> Future[list[Ended]]:
        """Make the calls one after the other, each in a worker of its own."""
        return self._pool.submit(lambda: [self._call(*call) for call in calls])

    def close(self) -> None:
        self._pool.shutdown()
        while not self._parents.empty():
            parent = self._parents.get()
            parent.communicate()

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Ended:
        parent = self._parents.get()
        try:
            assert parent.stdin
            assert parent.stdout
            call = {"module": function.__module__, "name": function.__name__, "arguments": arguments}
            parent.stdin.write(json.dumps(call) + "\n")
            parent.stdin.flush()
            return Ended(**json.loads(parent.stdout.readline()))
        finally:
            self._parents.put(parent)


def _in_a_fork(call: dict[str, Any]) -> Ended:
    function = getattr(importlib.import_module(call["module"]), call["name"])
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said:
        worker = os.fork()
        if not worker:
            _work(function, call["arguments"], writing, said.fileno())
        os.close(writing)
        with os.fdopen(reading) as answer:
            result = json.loads(answer.read() or "null")
        _, status = os.waitpid(worker, 0)
        said.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), result, said.read().decode(errors="replace"))


def _work(function: Callable[..., Any], arguments: list[Any], answer: int, said: int) -> None:
    code = 1
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        signal.alarm(SECONDS)
        os.write(answer, json.dumps(function(*arguments)).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _import_everything() -> None:
    """Import what the steps import while they run, and start nothing."""
    preload()
    for module in (
        *("feature_ops.datasets.validation", "feature_ops.feast.materialize", "feature_ops.feast.verify"),
        *("feature_ops.feast.engine.arrow_engine", "feature_ops.feast.engine.load"),
    ):
        importlib.import_module(module)
    # As Airflow's executor does: what is here already is of no interest to a worker's collector.
    gc.freeze()


def main() -> None:
    """Answer on what was standard output; what else is printed goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        _import_everything()
        for line in sys.stdin:
            print(json.dumps(asdict(_in_a_fork(json.loads(line)))), file=answers, flush=True)


if __name__ == "__main__":
    main()

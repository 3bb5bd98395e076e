"""
What watching git costs in a real Airflow, beside DAGs that run `git ls-remote` at every interval.

1 and 50 watchers of five repositories on a local server, every 2 seconds: requests for heads, processor
time and memory, and the seconds from a push to the start of the task that sees it. Prints a table and
ratios; asserts nothing. Takes about a quarter of an hour, since watchers of a removed DAG go on for minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from demo.stack import Stack
from demo.waiting import wait_until

INTERVAL = 2
REPOSITORIES = 5
DAGS = Path(__file__).parent / "watch_dags"
# DAG file and number of watchers.
WAYS: dict[str, tuple[str, int]] = {
    "the stack alone": ("", 0),
    "1 trigger": ("triggers.py", 1),
    "50 triggers": ("triggers.py", 50),
    "1 polling DAG": ("polling.py", 1),
    "50 polling DAGs": ("polling.py", 50),
}


@dataclass(frozen=True)
class Cost:
    """What a way to watch takes; processor time is in seconds per minute."""

    looks_a_minute: float
    airflow_cpu: float
    triggerer_cpu: float
    triggerer_mb: float
    push_to_task_s: float


class Benchmark:
    """
    A running stack with five repositories.

    :param looks: file that grows by one byte with each request for heads.
    :param seconds: how long to measure each way.
    :param commits: how many pushes to time for each.
    """

    def __init__(self, folder: Path, stack: Stack, looks: Path, seconds: float, commits: int) -> None:
        self._stack, self._looks, self._seconds, self._commits = stack, looks, seconds, commits
        self._dags = folder / "dags"
        self._seen = folder / "seen"
        self._clone = folder / "clone"
        self._environment = {**os.environ, **stack.environment()}
        self._urls = [stack.servers.create_repository(f"watched{number}") for number in range(REPOSITORIES)]
        self._pushes = 0
        (self._clone / "dir0").mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        for url in self._urls:
            self._push(url)

    def measure(self, dag_file: str, count: int) -> Cost:
        """Watch in one way and return what it takes."""
        self._install(dag_file, count)
        if count:
            self._push_to_task()  # warms up
        looks, then, cpu = self._look_count(), time.monotonic(), self._processor_seconds()
        time.sleep(self._seconds)
        minutes = (time.monotonic() - then) / 60
        airflow, triggerer = (
            (now - before) / minutes for now, before in zip(self._processor_seconds(), cpu, strict=True)
        )
        looks_a_minute = (self._look_count() - looks) / minutes
        memory = sum(process.memory_info().rss for process in self._processes("airflow-triggerer")) / 1e6
        latencies = [self._push_to_task() for _ in range(self._commits if count else 0)]
        latency = statistics.median(latencies) if latencies else float("nan")
        return Cost(looks_a_minute, airflow, triggerer, memory, latency)

    def _install(self, dag_file: str, count: int) -> None:
        """Replace the DAG file, and wait until the new watchers look and the old ones are gone."""
        servers = self._stack.servers
        account = f"://{servers.git_login}:{servers.git_password}@"
        watching = {
            "seen": str(self._seen),
            "count": count,
            "interval": INTERVAL,
            "urls": self._urls,
            "urls_with_password": [url.replace("://", account) for url in self._urls],
        }
        (self._dags / "watching.py").write_text("")
        wait_until(self._nobody_looks, "the watchers before are gone", timeout=600)
        if count:
            (self._dags / "watching.json").write_text(json.dumps(watching))
            (self._dags / "watching.py").write_text((DAGS / dag_file).read_text())
            looks = self._look_count()
            wait_until(lambda: self._look_count() > looks + REPOSITORIES, "the watchers look", timeout=120)

    def _nobody_looks(self) -> bool:
        """Whether only the watcher of the stack's own DAG is left, which looks at the same interval."""
        looks = self._look_count()
        time.sleep(4 * INTERVAL)
        return self._look_count() <= looks + 5

    def _push_to_task(self) -> float:
        """Return the seconds from the end of a push to the start of a task that sees it."""
        commit = self._push(self._urls[0])
        pushed = time.time()

        def seen() -> float | None:
            lines = self._seen.read_text().splitlines() if self._seen.exists() else []
            noted = [line.split() for line in lines]
            # Watcher 0: nobody else's task acts for it.
            return min(
                (float(when) for when, head, watcher in noted if (head, watcher) == (commit, "0")),
                default=None,
            )

        started = wait_until(seen, "a task sees the commit", timeout=300, interval=0.1)
        time.sleep(0.7)  # so that pushes fall anywhere in the interval
        return (started or 0.0) - pushed

    def _push(self, url: str) -> str:
        self._pushes += 1
        (self._clone / "dir0" / "file").write_text(str(self._pushes))
        self._git("add", ".")
        self._git("commit", "-q", "-m", f"number {self._pushes}")
        self._git("push", "-q", url, "HEAD:main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        command = ["git", "-C", str(self._clone), *identity, *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def _look_count(self) -> int:
        return self._looks.stat().st_size if self._looks.exists() else 0

    def _processes(self, name: str) -> list[psutil.Process]:
        children = [child for child in self._stack.servers.processes.children if child.name.startswith(name)]
        roots = [psutil.Process(child.process.pid) for child in children if child.process.poll() is None]
        return [process for root in roots for process in (root, *root.children(recursive=True))]

    def _processor_seconds(self) -> tuple[float, float]:
        """Return what all of Airflow and the triggerer took so far, with all processes they started."""
        return self._seconds_of("airflow-"), self._seconds_of("airflow-triggerer")

    def _seconds_of(self, name: str) -> float:
        total = 0.0
        for process in self._processes(name):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


@contextmanager
def counted_looks(folder: Path) -> Iterator[Path]:
    """Put a `git` before the real one that adds a byte to a file for each request for heads."""
    looks, wrapper = folder / "looks", folder / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\ncase " $* " in *" ls-remote "*) printf x >> {looks};; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    wrapper.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{wrapper.parent}{os.pathsep}{path}"
    try:
        yield looks
    finally:
        os.environ["PATH"] = path


def table(costs: dict[str, Cost]) -> str:
    """Return a row for each way to watch, and what the polling DAGs take times as much."""
    frame = pd.DataFrame({name: vars(cost) for name, cost in costs.items()}).T
    alone = frame.loc["the stack alone"]
    # The stack's own DAG has a watcher, too.
    frame["added_looks"] = frame["looks_a_minute"] - alone["looks_a_minute"]
    frame["added_cpu"] = frame["airflow_cpu"] - alone["airflow_cpu"]
    lines = [frame.round(2).to_string(), "", "cpu: seconds of processor time a minute", ""]
    for ours, theirs in (("1 trigger", "1 polling DAG"), ("50 triggers", "50 polling DAGs")):
        ratio = frame.loc[theirs] / frame.loc[ours]
        lines.append(
            f"{theirs} beside {ours}: {ratio['push_to_task_s']:.1f} times as long from push to task, "
            f"{ratio['added_cpu']:.0f} times the added processor time, "
            f"{ratio['added_looks']:.2f} times the looks"
        )
    return "\n".join(lines)


def main() -> None:
    """Start a stack of its own, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=60, help="to measure each way (default 60)")
    parser.add_argument("--commits", type=int, default=7, help="pushes to time for each (default 7)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as home,
        counted_looks(Path(home)) as looks,
    ):
        folder = Path(home)
        (folder / "dags").mkdir()
        stack = Stack(folder / "stack", extra_dags=folder / "dags", load=False)
        try:
            stack.start(lambda line: print(f"  {line}", flush=True))
            benchmark = Benchmark(folder, stack, looks, arguments.seconds, arguments.commits)
            costs = {}
            for name, (dag_file, count) in WAYS.items():
                print(f"  Measuring {name} …", flush=True)
                costs[name] = benchmark.measure(dag_file, count)
            print(table(costs))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()

"""
What the ETL takes for one new song, beside what six empty tasks take in the same Airflow.

Each task's seconds are split into Airflow (what an empty task takes, the wait for a worker
included) and the step's own. Prints a table and the ratio to the floor; asserts nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from demo.airflow_api import AirflowApi
from demo.songs import new_song, write_catalogue
from demo.stack import Stack

DAGS = Path(__file__).parent / "dags"


@dataclass(frozen=True)
class TaskTime:
    """Seconds from the end of the task before (or the run's start) to this task's end."""

    task: str
    seconds: float


def run_times(api: AirflowApi, dag_id: str, conf: dict[str, object]) -> list[TaskTime]:
    """Run the DAG once and return the seconds of each task, in order; their sum is the run's."""
    run_id = api.trigger(dag_id, conf)
    state = api.wait(dag_id, run_id, timeout=300)
    if state != "success":
        raise SystemExit(f"{dag_id} {run_id} is {state}: {api.summaries(dag_id, run_id)}")
    before = datetime.fromisoformat(api.dag_run(dag_id, run_id)["queued_at"])
    times = []
    for instance in sorted(api.task_instances(dag_id, run_id), key=lambda i: i["end_date"]):
        end = datetime.fromisoformat(instance["end_date"])
        times.append(TaskTime(instance["task_id"], (end - before).total_seconds()))
        before = end
    return times


def median_by_task(runs: list[list[TaskTime]]) -> dict[str, float]:
    """Return the median seconds of each task, in the order of the tasks."""
    return {
        times[0].task: statistics.median(time.seconds for time in times) for times in zip(*runs, strict=True)
    }


def measure(api: AirflowApi, inbox: Path, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the medians of the empty DAG and of the ETL, runs of both taking turns."""
    empty, etl = [], []
    for number in range(repeats + 1):
        empty_run = run_times(api, "six_empty_tasks", {})
        song = new_song().assign(spotify_id=f"benchmark{int(time.time() * 1000):013d}")
        path = inbox / f"benchmark_{number}.parquet"
        song.to_parquet(path)
        etl_run = run_times(api, "song_properties_etl", {"dataset_url": path.as_uri()})
        if number:  # the first of each warms up
            empty.append(empty_run)
            etl.append(etl_run)
    return median_by_task(empty), median_by_task(etl)


def table(empty: dict[str, float], etl: dict[str, float]) -> str:
    """Return the table: a row a task, the sums, and the ratio."""
    frame = pd.DataFrame({"seconds": etl, "Airflow": dict(zip(etl, empty.values(), strict=True))})
    frame["the step"] = frame["seconds"] - frame["Airflow"]
    frame.loc["all six"] = frame.sum()
    ratio = frame.loc["all six", "seconds"] / sum(empty.values())
    return (
        f"{frame.round(2).to_string()}\n\n"
        f"six empty tasks: {sum(empty.values()):.2f} s; the ETL of one new song: "
        f"{frame.loc['all six', 'seconds']:.2f} s; ratio {ratio:.2f}"
    )


def main() -> None:
    """Start a stack of its own, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--repeats", type=int, default=5, help="measured runs of each DAG (default 5)")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as folder:
        catalogue = Path(folder) / "catalogue.parquet"
        write_catalogue(catalogue)
        stack = Stack(Path(folder) / "stack", catalogue=catalogue, extra_dags=DAGS)
        try:
            stack.start(lambda line: print(f"  {line}", file=sys.stderr, flush=True))
            print(table(*measure(stack.api, stack.inbox, repeats)))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()

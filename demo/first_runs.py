"""Runs of DAGs that belong to a first start: each succeeds once, however often a start is cut short."""

from __future__ import annotations

from collections.abc import Callable

from demo.airflow_api import ENDED, AirflowApi
from demo.errors import DemoError
from demo.progress import Progress
from demo.waiting import wait_until


class FirstRuns:
    """
    Runs DAGs for a first start and tells how it goes.

    :param logs: where Airflow's logs are, which a failure names.
    :param progress: told each task's line.
    """

    def __init__(self, api: AirflowApi, logs: str, progress: Progress) -> None:
        self._api = api
        self._logs = logs
        self._progress = progress

    def succeed_once(self, dag_id: str, name: str, title: str, conf: Callable[[], dict[str, object]]) -> None:
        """
        Run the DAG unless a run of an earlier start has succeeded; one that is under way goes on.

        :param name: what the ids of these runs begin with.
        :param title: what the run does, as in "Loading the catalogue".
        :param conf: makes the run's configuration; called only if a run is to be made.
        :raises DemoError: if the run fails.
        """
        self._wait_for_dag(dag_id)
        runs = [run for run in self._api.dag_runs(dag_id) if run["dag_run_id"].startswith(name)]
        states = {run["dag_run_id"]: run["state"] for run in runs}
        if "success" in states.values():
            return
        self._progress(f"{title} through the DAG {dag_id} …")
        unfinished = [run_id for run_id, state in states.items() if state != "failed"]
        if unfinished:
            run_id = unfinished[0]
            self._progress(
                "The last start was killed during it: that run goes on. A killed task is retried in a minute."
            )
        else:
            run_id = self._api.trigger(dag_id, conf(), f"{name}_{len(states) + 1}")
        if self._follow(dag_id, run_id) == "failed":
            raise DemoError(f"{title} failed, see above and {self._logs}: the next start tries it once more.")

    def _follow(self, dag_id: str, run_id: str) -> str:
        """Tell each task's line as it ends; returns the run's last state."""
        told: set[str] = set()

        def ended() -> str | None:
            state: str = self._api.dag_run(dag_id, run_id)["state"]
            done = {t for t, s in self._api.task_states(dag_id, run_id).items() if s in ("success", "failed")}
            if done - told:
                lines = self._api.summaries(dag_id, run_id)
                for task in sorted(done - told):
                    self._progress(f"  {task}: {lines.get(task, 'ended without a word')}")
                told.update(done)
            return state if state in ENDED else None

        return wait_until(ended, f"run {run_id} of {dag_id} ends", timeout=900, interval=0.5) or ""

    def _wait_for_dag(self, dag_id: str) -> None:
        def parsed() -> bool:
            errors = self._api.import_errors()
            if errors:
                filename, line = next(iter(errors.items()))
                raise DemoError(f"Airflow can't import {filename}: {line}. Correct the file and start again.")
            return self._api.has_dag(dag_id)

        wait_until(
            parsed, f"Airflow knows the DAG {dag_id}", timeout=120, interval=0.3, remedy="see the logs"
        )

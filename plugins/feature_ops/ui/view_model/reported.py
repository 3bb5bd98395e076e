"""Endings with their tasks, in the orders that the parts of the page need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from feature_ops.ui.status import Ending, TaskStatus


@dataclass(frozen=True)
class Reported:
    """One ending and the task that reported it."""

    task: TaskStatus
    ending: Ending

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the step reported beyond its summary."""
        return self.ending.facts

    @property
    def run(self) -> tuple[str, str]:
        """DAG and run."""
        return self.task.dag_id, self.ending.run_id

    def shown(self) -> dict[str, Any]:
        """Return what is shown of any ending."""
        return {
            "state": state_of(self.ending),
            "summary": self.ending.summary,
            "at": self.ending.ended_at,
            "task": self.task.task_id,
            "dag": self.task.dag_id,
            "run": task_path(self.task, self.ending.run_id, self.ending.map_index),
        }


def state_of(ending: Ending) -> str:
    """Return the state; a failure that put a file into quarantine is a state of its own."""
    return "quarantined" if ending.state == "failed" and "quarantine" in ending.facts else ending.state


def task_path(task: TaskStatus, run_id: str, map_index: int = -1) -> str:
    """Return the path of a task in Airflow's UI."""
    path = f"{run_path(task.dag_id, run_id)}/tasks/{quote(task.task_id, safe='')}"
    return f"{path}/mapped/{map_index}" if map_index >= 0 else path


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a run in Airflow's UI."""
    return f"dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def successes(tasks: Iterable[TaskStatus]) -> Iterator[Reported]:
    """Yield the newest success of each task, however old it is."""
    return (Reported(task, task.success) for task in tasks if task.success)


def endings(tasks: Iterable[TaskStatus]) -> Iterator[Reported]:
    """Yield the last endings of each task."""
    return (Reported(task, ending) for task in tasks for ending in task.endings)


def everything(tasks: Sequence[TaskStatus]) -> Iterator[Reported]:
    """Yield all that is known; a success may come twice."""
    return chain(successes(tasks), endings(tasks))


def oldest_first(reported: Iterable[Reported]) -> list[Reported]:
    """Sort by the time of the ending."""
    return sorted(reported, key=lambda one: one.ending.ended_at)


def newest_first(reported: Iterable[Reported]) -> list[Reported]:
    """Sort by the time of the ending."""
    return oldest_first(reported)[::-1]

"""Tasks of the three DAGs, run as Airflow runs them, with the results of upstream tasks kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import continuous_training
import promote_model
import song_properties_etl

DAGS = {dag.dag_id: dag for dag in (song_properties_etl.dag, continuous_training.dag, promote_model.dag)}


class StateStore(dict[str, Any]):
    """Stands in for Airflow's task state store; remembers every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value
        if key == "summary":
            self.lines.append(value)


class TaskInstance:
    """Stands in for the task instance: it finds the results that are given."""

    id = "01a21a91-6939-7d99-9e3c-0c0b5f2013a2"
    map_index = -1

    def __init__(self, dag_id: str, results: Mapping[str, Any]) -> None:
        self.dag_id, self.results = dag_id, results
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, key: str, default: Any, map_indexes: Any) -> Any:
        return self.results.get(task_ids, default)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class TaskRun:
    """
    One run of a task, rendered from the results of its upstream tasks.

    :param task: a task of one of the DAGs.
    :param results: what upstream tasks returned, by task id; one that is not there has no result.
    """

    def __init__(self, task: Any, results: Mapping[str, Any]) -> None:
        self.state = StateStore()
        self.instance = TaskInstance(task.dag_id, results)
        self.operator = task.prepare_for_execution()
        self.context: Any = {
            "ti": self.instance,
            "task_instance": self.instance,
            "task": self.operator,
            "task_state_store": self.state,
            "dag_run": SimpleNamespace(run_id="run", conf=None),
            "params": dict.fromkeys(task.dag.params),
        }
        self.operator.render_template_fields(self.context)

    def execute(self) -> Any:
        return self.operator.execute(self.context)

    def replace(self, **methods: Callable[..., Any]) -> None:
        """Put functions in the place of the operator's methods."""
        for name, method in methods.items():
            setattr(self.operator, name, method)

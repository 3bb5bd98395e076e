"""Endings of tasks for the tests of the page."""

from __future__ import annotations

from typing import Any

from feature_ops.ui.status import Ending, State, TaskStatus


def task(task_id: str, *endings: tuple[str, State, str, dict[str, Any]], dag_id: str = "etl") -> TaskStatus:
    """
    Return the status of a task whose runs ended in that order.

    :param endings: minute at which the task ended, which names its run, too; state, summary and facts.
    """
    status = TaskStatus(dag_id, task_id)
    for at, state, summary, facts in endings:
        status = status.ended(ending(at, state, summary, facts))
    return status


def ending(
    at: str, state: State, summary: str = "", facts: dict[str, Any] | None = None, **more: Any
) -> Ending:
    """Return an ending at a minute of one hour."""
    values = {"run_id": f"run {at}", "ended_at": f"2026-01-01T00:{at}:00+00:00", **more}
    return Ending(state=state, summary=summary, facts=facts or {}, **values)

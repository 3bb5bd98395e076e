"""Points over time, for charts and lists: loads, freshness, drift and refused files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from feature_ops.ui.status import Point, TaskStatus
from feature_ops.ui.view_model.reported import task_path

_POINTS = 50


def loads(tasks: Sequence[TaskStatus]) -> list[dict[str, Any]]:
    """Return the last loads and refused files, the oldest first."""
    found = [
        {
            "at": point.at,
            "dataset": (point.values.get("quarantine") or point.values).get("dataset"),
            "state": "quarantined" if "quarantine" in point.values else point.state,
            "rows": point.values.get("rows"),
            "seconds": point.values.get("seconds"),
            "run": task_path(task, point.run_id, point.map_index),
        }
        for task, point in _points(tasks)
        if "newest_event" in point.values or "quarantine" in point.values
    ]
    return sorted(found, key=lambda one: str(one["at"]))[-_POINTS:]


def freshness(tasks: Sequence[TaskStatus]) -> list[dict[str, Any]]:
    """Return for each view the newest event time that was online after each load, the oldest first."""
    views: dict[str, list[tuple[str, str]]] = {}
    for _, point in _points(tasks):
        for view, newest in (point.values.get("newest_event") or {}).items():
            if newest:
                views.setdefault(view, []).append((point.at, newest))
    return [
        {"view": view, "points": [list(point) for point in sorted(found)[-_POINTS:]]}
        for view, found in sorted(views.items())
    ]


def quarantine(tasks: Sequence[TaskStatus], since: datetime) -> list[dict[str, Any]]:
    """
    Return the refused files, the newest first.

    :param since: older ones are swept from object storage.
    """
    found = [
        {
            **point.values["quarantine"],
            "at": point.at,
            "dag": task.dag_id,
            "task": task.task_id,
            "run": task_path(task, point.run_id, point.map_index),
        }
        for task, point in _points(tasks)
        if "quarantine" in point.values and _time(point.at) >= since
    ]
    return sorted(found, key=lambda one: str(one["at"]), reverse=True)[:_POINTS]


def drift(tasks: Sequence[TaskStatus]) -> list[dict[str, Any]]:
    """Return for each model its drift per feature over time, the oldest first."""
    by_model: dict[str, list[dict[str, Any]]] = {}
    for task, point in _points(tasks):
        if "of" in point.values and "features" in point.values:
            by_model.setdefault(str(point.values["of"]), []).append(
                {
                    "at": point.at,
                    "rows": point.values.get("rows"),
                    "features": point.values["features"],
                    "run": task_path(task, point.run_id),
                }
            )
    return [
        {"model": model, "points": sorted(found, key=lambda one: str(one["at"]))[-_POINTS:]}
        for model, found in sorted(by_model.items())
    ]


def _points(tasks: Sequence[TaskStatus]) -> Iterator[tuple[TaskStatus, Point]]:
    return ((task, point) for task in tasks for point in task.points)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

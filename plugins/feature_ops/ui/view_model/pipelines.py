"""The last runs of each pipeline: how they ended, at which task, with which line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.reported import Reported, endings, oldest_first, run_path

_RUNS = 10
_BAD = ("failed", "quarantined")


def pipelines(tasks: Sequence[TaskStatus]) -> list[dict[str, Any]]:
    """Return each DAG with its last runs, the newest first."""
    runs: dict[str, dict[str, list[Reported]]] = {}
    for reported in oldest_first(endings(tasks)):
        dag_id, run_id = reported.run
        runs.setdefault(dag_id, {}).setdefault(run_id, []).append(reported)
    return [_pipeline(dag_id, list(found.values())) for dag_id, found in sorted(runs.items())]


def _pipeline(dag_id: str, runs: list[list[Reported]]) -> dict[str, Any]:
    ordered = sorted(runs, key=_time, reverse=True)[:_RUNS]
    shown = [_run(run) for run in ordered]
    bad = next((at for at, run in enumerate(shown) if run["state"] not in _BAD), len(shown))
    steps = [step.shown() for step in ordered[0]]
    return {"dag": dag_id, "last": {**shown[0], "steps": steps}, "runs": shown, "failures_in_a_row": bad}


def _time(run: list[Reported]) -> str:
    """Return the run's own time, which a cleared run keeps; older releases reported none."""
    return max(step.ending.run_after for step in run) or run[0].ending.ended_at


def _run(run: list[Reported]) -> dict[str, Any]:
    decisive = _decisive(run)
    return {
        **decisive.shown(),
        "run_id": decisive.ending.run_id,
        "run_path": run_path(*decisive.run),
    }


def _decisive(run: list[Reported]) -> Reported:
    """Return the step that decided how the run ended: the first failure, else the last step."""
    return next((step for step in run if step.ending.state == "failed"), run[-1])

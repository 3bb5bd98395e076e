"""Feature views as they are online, their last load, and who reads their features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.readers import Readers
from feature_ops.ui.view_model.reported import Reported, endings, everything, newest_first, oldest_first

_RUNS = 6


def views(tasks: Sequence[TaskStatus], readers: Readers) -> list[dict[str, Any]]:
    """Return each view of each dataset as the newest step reported it."""
    loads = [one for one in newest_first(endings(tasks)) if "datasets" in one.facts]
    known = [one for one in newest_first(everything(tasks)) if "datasets" in one.facts]
    unchecked = _unchecked(tasks)
    return [
        {
            **view,
            "features": [
                {**feature, **readers.of(view["name"], feature["name"])} for feature in _features(view)
            ],
            "unchecked": unchecked.get(view["name"], []),
            "failed": _failure(view, known),
            "loaded_by": _loader(view, known),
            "runs": _runs_of(view, loads),
        }
        for view in _newest_views(tasks)
    ]


def _newest_views(tasks: Sequence[TaskStatus]) -> list[Mapping[str, Any]]:
    by_dataset: dict[str, list[Mapping[str, Any]]] = {}
    for told in oldest_first(one for one in everything(tasks) if "online" in one.facts):
        for dataset in told.facts["datasets"]:
            by_dataset[dataset] = [view for view in told.facts["online"] if view["dataset"] == dataset]
    return [view for _, found in sorted(by_dataset.items()) for view in found]


def _features(view: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for feature in view.get("features", ()):
        # Older releases reported names only.
        yield {"name": feature, "type": None} if isinstance(feature, str) else dict(feature)


def _failure(view: Mapping[str, Any], known: Sequence[Reported]) -> dict[str, Any] | None:
    """Return why the newest load that concerns the view did not load it; None if it did."""
    for told in known:
        if view["dataset"] not in told.facts["datasets"]:
            continue
        for failed in told.facts.get("failed_views") or ():
            if failed.get("view") == view["name"]:
                return {**told.shown(), "reason": str(failed.get("reason") or "")}
        if told.ending.state != "failed" or "failed_views" in told.facts:
            return None
    return None


def _unchecked(tasks: Sequence[TaskStatus]) -> dict[str, list[str]]:
    """Return what the newest verification of each dataset left out, by view."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for told in newest_first(endings(tasks)):
        dataset = str(told.facts.get("dataset"))
        if "unchecked" not in told.facts or dataset in seen:
            continue
        seen.add(dataset)
        for reference, reason in map(_unchecked_feature, told.facts["unchecked"] or ()):
            view, _, feature = reference.partition(":")
            found.setdefault(view, []).append(f"{feature or view}: {reason}" if reason else feature or view)
    return found


def _unchecked_feature(one: Any) -> tuple[str, str]:
    """Return the reference and the reason; a bare reference has none."""
    if not isinstance(one, Mapping):
        return str(one), ""
    reference = one.get("feature") or one.get("reference") or ""
    view = one.get("view")
    return f"{view}:{reference}" if view and ":" not in reference else reference, str(one.get("reason") or "")


def _loader(view: Mapping[str, Any], known: Sequence[Reported]) -> str | None:
    """Return the DAG that loads new rows; a backfill has no window of event times."""
    dags = [
        told.task.dag_id
        for told in known
        if view["dataset"] in told.facts["datasets"] and told.facts.get("window")
    ]
    return dags[0] if dags else None


def _runs_of(view: Mapping[str, Any], loads: Sequence[Reported]) -> list[dict[str, Any]]:
    """Return the last endings that concern a view; where nothing was to be done they concern all."""
    concerned = [
        told
        for told in loads
        if view["dataset"] in told.facts["datasets"]
        and view["name"] in (told.facts.get("views") or [view["name"]])
    ]
    return [
        {**told.shown(), **{name: told.facts.get(name) for name in ("rows", "seconds")}}
        for told in concerned[:_RUNS]
    ]

"""What the page in Airflow shows, put together from what the steps have told; pure functions over JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from feature_ops.ui.status import Ending, TaskStatus

_RUNS = 6
_TEST, _CHAMPION = "test", "champion"


@dataclass(frozen=True)
class Addresses:
    """
    Where the page's links lead; None where there is nothing to lead to.

    :param commit: with ``{commit}``.
    :param services: page of the service that follows an alias, by alias.
    """

    commit: str | None
    mlflow: str | None
    services: Mapping[str, str | None]

    def of_commit(self, commit: str | None) -> str | None:
        """Return the commit's web page."""
        return self.commit.replace("{commit}", commit) if self.commit and commit else None

    def of_version(self, model: str, version: str) -> str | None:
        """Return the version's page in MLflow."""
        if not self.mlflow:
            return None
        return f"{self.mlflow}/#/models/{quote(model)}/versions/{quote(version)}"


@dataclass(frozen=True)
class _Told:
    """One ending with the task that it is of."""

    task: TaskStatus
    ending: Ending

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.ending.facts

    def shown(self) -> dict[str, Any]:
        """Return what is shown of any ending."""
        run = f"dags/{quote(self.task.dag_id)}/runs/{quote(self.ending.run_id)}"
        return {
            "state": self.ending.state,
            "summary": self.ending.summary,
            "at": self.ending.ended_at,
            "task": self.task.task_id,
            "dag": self.task.dag_id,
            "run": f"{run}/tasks/{quote(self.task.task_id)}",
        }


def picture(tasks: Sequence[TaskStatus], addresses: Addresses) -> dict[str, Any]:
    """Return what the page shows, as plain JSON."""
    return {
        "views": _views(tasks),
        "commits": _commits(tasks, addresses),
        "models": _models(tasks, addresses),
        "services": [{"alias": alias, "url": url} for alias, url in addresses.services.items() if url],
        "mlflow": addresses.mlflow,
    }


def _views(tasks: Sequence[TaskStatus]) -> list[dict[str, Any]]:
    pictures: dict[str, tuple[str, list[Mapping[str, Any]]]] = {}
    for told in _oldest_first(told for told in _all(tasks) if "online" in told.facts):
        for dataset in told.facts["datasets"]:
            of_dataset = [view for view in told.facts["online"] if view["dataset"] == dataset]
            pictures[dataset] = told.ending.ended_at, of_dataset
    loads = [told for told in _newest_first(_endings(tasks)) if "datasets" in told.facts]
    known = [told for told in _newest_first(_all(tasks)) if "datasets" in told.facts]
    return [
        {**view, "loaded_by": _loader(view, known), "runs": _runs_of(view, loads)}
        for _, (_, views) in sorted(pictures.items())
        for view in views
    ]


def _loader(view: Mapping[str, Any], loads: Sequence[_Told]) -> str | None:
    """Return the DAG that loads what is new; a backfill has no window of event times."""
    dags = [
        told.task.dag_id
        for told in loads
        if view["dataset"] in told.facts["datasets"] and told.facts.get("window")
    ]
    return dags[0] if dags else None


def _runs_of(view: Mapping[str, Any], loads: Sequence[_Told]) -> list[dict[str, Any]]:
    """Return the last endings that concern a view; where nothing was to be done they concern all."""
    mine = [
        told
        for told in loads
        if view["dataset"] in told.facts["datasets"]
        and view["name"] in told.facts.get("views", [view["name"]])
    ]
    return [
        {**told.shown(), **{name: told.facts.get(name) for name in ("rows", "seconds")}}
        for told in mine[:_RUNS]
    ]


def _commits(tasks: Sequence[TaskStatus], addresses: Addresses) -> dict[str, Any]:
    """Return the commit that was applied last, and the newest if it failed or changes nothing."""
    applies = [told for told in _newest_first(_successes(tasks)) if _is_apply(told)]
    steps = [told for told in _newest_first(_endings(tasks)) if "subject" in told.facts]
    newest = steps[0] if steps else None
    failed = newest if newest and newest.ending.state == "failed" else None
    quiet = newest if newest and not failed and not _is_apply(newest) else None
    return {
        "applied": _commit(applies[0], addresses) if applies else _applied_before(steps, addresses),
        "failed": _commit(failed, addresses) if failed else None,
        "newest": _commit(quiet, addresses) if quiet else None,
    }


def _applied_before(steps: Sequence[_Told], addresses: Addresses) -> dict[str, Any] | None:
    """Return the commit that no step has told of, but that was there when the others came."""
    known = next((told.facts["applied"] for told in steps if told.facts.get("applied")), None)
    return {"commit": known, "url": addresses.of_commit(known)} if known else None


def _is_apply(told: _Told) -> bool:
    # A diff tells what is applied before it; an apply does not.
    return "subject" in told.facts and "applied" not in told.facts


def _commit(told: _Told, addresses: Addresses) -> dict[str, Any]:
    facts = told.facts
    names = ("commit", "subject", "author", "committed_at", "verdict", "changes", "services", "needed")
    url = facts.get("commit_url") or addresses.of_commit(facts.get("commit"))
    return {**told.shown(), **{name: facts.get(name) for name in names}, "url": url}


def _models(tasks: Sequence[TaskStatus], addresses: Addresses) -> list[dict[str, Any]]:
    steps = [told for told in _newest_first(_endings(tasks)) if "model" in told.facts]
    moves = [told for told in _newest_first(_successes(tasks)) if "aliases" in told.facts]
    names = dict.fromkeys(str(told.facts["model"]) for told in [*moves, *steps])
    found = []
    for name in sorted(names):
        last = next((told for told in steps if told.facts["model"] == name), None)
        move = next((told for told in moves if told.facts["model"] == name), None)
        found.append(
            {
                "name": name,
                "versions": _versions(name, move, addresses) if move else [],
                "failed": last.shown() if last and last.ending.state == "failed" else None,
                "promoted": _promotion(tasks, name),
                "champion_missing": move.facts.get("champion_missing") if move else None,
            }
        )
    return found


def _versions(model: str, move: _Told, addresses: Addresses) -> list[dict[str, Any]]:
    aliases = move.facts["aliases"]
    return [
        {
            "alias": alias,
            **aliases[alias],
            "commit_url": addresses.of_commit(aliases[alias]["commit"]),
            "url": addresses.of_version(model, aliases[alias]["version"]),
            "service": addresses.services.get(alias),
        }
        for alias in (_CHAMPION, _TEST)
        if alias in aliases
    ]


def _promotion(tasks: Sequence[TaskStatus], model: str) -> dict[str, Any] | None:
    for told in _newest_first(_successes(tasks)):
        if told.facts.get("model") == model and "by" in told.facts:
            names = ("by", "why", "version", "instead_of")
            return {**told.shown(), **{name: told.facts.get(name) for name in names}}
    return None


def _successes(tasks: Iterable[TaskStatus]) -> Iterator[_Told]:
    return (_Told(task, task.success) for task in tasks if task.success)


def _endings(tasks: Iterable[TaskStatus]) -> Iterator[_Told]:
    return (_Told(task, ending) for task in tasks for ending in task.endings)


def _all(tasks: Sequence[TaskStatus]) -> Iterator[_Told]:
    """Yield all that is known, some of it twice: a success that is kept for long may be a last one, too."""
    return chain(_successes(tasks), _endings(tasks))


def _oldest_first(told: Iterable[_Told]) -> list[_Told]:
    return sorted(told, key=lambda one: one.ending.ended_at)


def _newest_first(told: Iterable[_Told]) -> list[_Told]:
    return _oldest_first(told)[::-1]

"""The commits that were evaluated, and what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.addresses import Addresses
from feature_ops.ui.view_model.reported import Reported, endings, newest_first, oldest_first, successes

_COMMIT = ("commit", "subject", "author", "committed_at", "changes", "services")
_SHOWN = 10


@dataclass(frozen=True)
class _Evaluation:
    """The steps of one run that evaluate or apply a commit, the oldest first."""

    steps: tuple[Reported, ...]

    @cached_property
    def by_name(self) -> dict[str, Reported]:
        return {_step(step): step for step in self.steps}

    @property
    def began(self) -> str:
        """When the commit was looked up: a later evaluation is of a newer or the same commit."""
        return self.steps[0].ending.ended_at

    @property
    def revision(self) -> str:
        """What the run's user wanted instead of the branch's newest commit; empty otherwise."""
        resolve = self.by_name.get("resolve")
        return str(resolve.facts.get("revision") or "") if resolve else ""

    @property
    def decisive(self) -> Reported:
        return next((step for step in self.steps if step.ending.state == "failed"), self.steps[-1])

    def outcome(self) -> str:
        """Return what came of it: applied, refused, failed, none (no feature changed), waiting or skipped."""
        step = self.decisive
        if step.ending.state == "failed":
            return "refused" if step.ending.refused else "failed"
        diff = self.by_name.get("diff")
        if "apply" in self.by_name:
            return "applied"
        if diff and diff.facts.get("needed") is False:
            return "none"
        return "skipped" if step.ending.state == "skipped" else "waiting"

    def shown(self, addresses: Addresses) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for step in self.steps:
            known |= {name: fact for name, fact in step.facts.items() if fact is not None}
        return {
            **self.decisive.shown(),
            **{name: known.get(name) for name in _COMMIT},
            "class": known.get("class") or known.get("verdict"),
            "outcome": self.outcome(),
            "revision": self.revision,
            "url": known.get("commit_url") or addresses.of_commit(known.get("commit")),
        }


def commits(tasks: Sequence[TaskStatus], addresses: Addresses) -> dict[str, Any]:
    """
    Return the last evaluations, the newest first, with the newest one and the applied commit.

    A commit that was evaluated several times is shown once, as it was evaluated last.
    """
    evaluations = _evaluations(tasks)
    shown: dict[str, dict[str, Any]] = {}
    for evaluation in evaluations:
        one = evaluation.shown(addresses)
        shown.setdefault(str(one["commit"]), one)
    evaluated = list(shown.values())[:_SHOWN]
    newest = next((one for one in evaluated if not one["revision"]), next(iter(evaluated), None))
    return {"evaluated": evaluated, "newest": newest, "applied": _applied(tasks, addresses)}


def no_commits() -> dict[str, Any]:
    """Return what is shown where nothing is known."""
    return {"evaluated": [], "newest": None, "applied": None}


def _step(reported: Reported) -> str:
    # Older releases did not name the step; only their diff reported what was applied before it.
    inferred = "diff" if "applied" in reported.facts else "apply"
    return str(reported.facts.get("step") or inferred)


def _evaluations(tasks: Sequence[TaskStatus]) -> list[_Evaluation]:
    runs: dict[tuple[str, str], list[Reported]] = {}
    for reported in oldest_first(endings(tasks)):
        if "commit" in reported.facts and "subject" in reported.facts:
            runs.setdefault(reported.run, []).append(reported)
    found = [_Evaluation(tuple(_of_newest_commit(steps))) for steps in runs.values()]
    return sorted(found, key=lambda one: one.began, reverse=True)


def _of_newest_commit(steps: list[Reported]) -> list[Reported]:
    """Leave out what a cleared run reported of the commit that it had evaluated before."""
    resolve = next((step for step in steps if _step(step) == "resolve"), None)
    commit = (resolve or steps[-1]).facts["commit"]
    return [step for step in steps if step.facts["commit"] == commit]


def _applied(tasks: Sequence[TaskStatus], addresses: Addresses) -> dict[str, Any] | None:
    """Return the applied commit as the newest apply, or the newest look at the registry, reported it."""
    told = [one for one in newest_first([*successes(tasks), *endings(tasks)]) if "subject" in one.facts]
    for one in told:
        if _step(one) == "apply" and one.ending.state == "success":
            return _Evaluation((one,)).shown(addresses)
        # A diff repeats what was looked up before it, maybe long before.
        if one.facts.get("step") in ("resolve", None) and one.facts.get("applied"):
            return _known(str(one.facts["applied"]), told, addresses)
    return None


def _known(commit: str, told: Sequence[Reported], addresses: Addresses) -> dict[str, Any]:
    """Return what is known of an applied commit: no more than its hash if it was applied elsewhere."""
    applies = [one for one in told if one.facts["commit"] == commit and _step(one) == "apply"]
    done = next((one for one in applies if one.ending.state == "success"), None)
    if done is None:
        return {"commit": commit, "url": addresses.of_commit(commit)}
    return _Evaluation((done,)).shown(addresses)

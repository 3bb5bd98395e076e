"""Models: which versions are deployed, their scores, the last promotion and the last failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.addresses import Addresses
from feature_ops.ui.view_model.reported import Reported, endings, everything, newest_first, successes

# Aliases of the model registry, in the order in which they are shown, and the stage that each stands for.
_STAGES = {"champion": "production", "test": "test"}


def models(tasks: Sequence[TaskStatus], addresses: Addresses) -> list[dict[str, Any]]:
    """Return each model with its deployed versions."""
    steps = [told for told in newest_first(endings(tasks)) if "model" in told.facts]
    moves = [told for told in newest_first(successes(tasks)) if "aliases" in told.facts]
    names = dict.fromkeys(str(told.facts["model"]) for told in [*moves, *steps])
    return [_model(name, tasks, steps, moves, addresses) for name in sorted(names)]


def _model(
    name: str,
    tasks: Sequence[TaskStatus],
    steps: Sequence[Reported],
    moves: Sequence[Reported],
    addresses: Addresses,
) -> dict[str, Any]:
    last = next((told for told in steps if told.facts["model"] == name), None)
    move = next((told for told in moves if told.facts["model"] == name), None)
    accepted = _accepted_regressions(tasks, name)
    return {
        "name": name,
        "versions": _versions(name, move, accepted, addresses) if move else [],
        "failed": last.shown() if last and last.ending.state == "failed" else None,
        "promoted": _promotion(tasks, name),
        "champion_missing": move.facts.get("champion_missing") if move else None,
    }


def _versions(
    model: str, move: Reported, accepted: Mapping[str, Any], addresses: Addresses
) -> list[dict[str, Any]]:
    aliases = move.facts["aliases"]
    return [
        {
            "alias": alias,
            "stage": stage,
            **aliases[alias],
            "accepted_regression": aliases[alias].get("accepted_regression")
            or accepted.get(aliases[alias]["version"]),
            "commit_url": addresses.of_commit(aliases[alias]["commit"]),
            "url": addresses.of_version(model, aliases[alias]["version"]),
            "service": addresses.services.get(alias),
        }
        for alias, stage in _STAGES.items()
        if alias in aliases
    ]


def _accepted_regressions(tasks: Sequence[TaskStatus], model: str) -> dict[str, Any]:
    """Return by version why a user accepted that it is worse than the champion."""
    return {
        str(told.facts["version"]): told.facts["accepted_regression"]
        for told in everything(tasks)
        if told.facts.get("model") == model
        and told.facts.get("version")
        and told.facts.get("accepted_regression")
    }


def _promotion(tasks: Sequence[TaskStatus], model: str) -> dict[str, Any] | None:
    for told in newest_first(successes(tasks)):
        if told.facts.get("model") == model and "by" in told.facts:
            names = ("by", "why", "version", "instead_of")
            return {**told.shown(), **{name: told.facts.get(name) for name in names}}
    return None

"""What a person reads before a model goes to production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.result import TrainingResult


@dataclass(frozen=True)
class Scored:
    """A version with its scores on the rows that its training held out."""

    version: ModelVersion
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Links:
    """
    Addresses for people; None where there is none.

    :param commit: with ``{commit}``.
    :param service: the page of the service that answers with the candidate.
    """

    commit: str | None
    mlflow: str | None
    service: str | None


def features_changed(candidate: Sequence[str], champion: Sequence[str]) -> list[str]:
    """Return what the candidate asks for and the champion does not, and the other way round."""
    dropped = [f"− {ref}" for ref in champion if ref not in candidate]
    return dropped + [f"+ {ref}" for ref in candidate if ref not in champion]


def subject(model: str, candidate: Scored, champion: Scored | None) -> str:
    """Return the headline."""
    instead = f" instead of version {champion.version.version}" if champion else ""
    return f"Version {candidate.version.version} of {model} to production{instead}?"


def body(candidate: Scored, champion: Scored | None, result: TrainingResult | None, links: Links) -> str:
    """Return what is to be known, as markdown."""
    parts = [
        _features(candidate, champion),
        _metrics(candidate, champion),
        _comparison(candidate, champion, result),
        _origin(candidate, links),
    ]
    return "\n\n".join(part for part in parts if part)


def _features(candidate: Scored, champion: Scored | None) -> str:
    count = len(candidate.version.features)
    if champion is None:
        return f"**Features**: {count}"
    changed = features_changed(candidate.version.features, champion.version.features)
    if not changed:
        return f"**Features**: the same {count}"
    lines = "\n".join(f"- `{line}`" for line in changed)
    return f"**Features**: {count} instead of {len(champion.version.features)}\n\n{lines}"


def _metrics(candidate: Scored, champion: Scored | None) -> str:
    rivals = [candidate, *([champion] if champion else [])]
    titles = [f"version {candidate.version.version}"]
    if champion:
        titles.append(f"champion, version {champion.version.version}")
    rows = [f"| | {' | '.join(titles)} |", f"|---|{'---:|' * len(titles)}"]
    for name in candidate.metrics:
        told = [f"{one.metrics[name]:.4f}" if name in one.metrics else "" for one in rivals]
        rows.append(f"| {name} | {' | '.join(told)} |")
    return "\n".join(rows) if candidate.metrics else ""


def _comparison(candidate: Scored, champion: Scored | None, result: TrainingResult | None) -> str:
    """Say what was measured on the same rows, as long as it was measured against today's champion."""
    if champion is None or result is None or result.champion is None or not result.comparison:
        return ""
    if result.champion.version != champion.version.version:
        return (
            f"Each was measured on its own held-out rows: version {candidate.version.version} was compared "
            f"with version {result.champion.version}, which is not the champion any more."
        )
    lines = [
        f"- {name}: {d.difference:+.4f} (95 %: {d.low:+.4f} to {d.high:+.4f})"
        for name, d in result.comparison.items()
    ]
    return "\n".join(["On the same held-out rows, against the champion:", "", *lines])


def _origin(candidate: Scored, links: Links) -> str:
    version = candidate.version
    commit = f"`{version.git_commit[:10]}`"
    if links.commit:
        commit = f"[{commit}]({links.commit.replace('{commit}', version.git_commit)})"
    lines = [f"- commit {commit}", f"- data `{version.dataset_version[:10]}`"]
    if links.mlflow:
        lines.append(f"- [its version in MLflow]({links.mlflow})")
    if links.service:
        lines.append(f"- [ask it in test]({links.service})")
    return "\n".join(lines)

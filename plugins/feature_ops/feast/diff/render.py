"""A diff as text for a terminal, as Markdown for a pull request, as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Callable

from feature_ops.feast.diff.verdict import Diff, Verdict, printable

_MEANINGS = {
    Verdict.NONE: "The definitions mean the same.",
    Verdict.METADATA: "Only tags, descriptions or owners change.",
    Verdict.ADDITIVE: "Something is added; nothing that is read today changes.",
    Verdict.BREAKING: "Whoever reads these features may get other values, or none.",
}
_SIGNS = {Verdict.NONE: "⚪", Verdict.METADATA: "🔵", Verdict.ADDITIVE: "🟢", Verdict.BREAKING: "🔴"}
_OBSTACLES = "The new definitions can't be applied as they are:"
# Finds the comment again, so that a pull request has one and not one per push.
_MARK = "<!-- feature definitions -->"


def as_text(diff: Diff) -> str:
    """Return lines: the verdict, each change, each service."""
    lines = [f"{diff.verdict}: {_MEANINGS[diff.verdict]}"]
    lines += [f"  {change.verdict!s:<9} {change.sentence}" for change in diff.changes]
    if diff.changes and diff.services:
        lines.append("What it means to those who read through a service:")
        lines += [f"  {verdict!s:<9} {printable(name)}" for name, verdict in diff.services]
    if diff.obstacles:
        lines += [_OBSTACLES, *(f"  {printable(obstacle)}" for obstacle in diff.obstacles)]
    return "\n".join(lines)


def as_markdown(diff: Diff) -> str:
    """Return what a pull request's comment says."""
    verdict = diff.verdict
    lines = [_MARK, f"### {_SIGNS[verdict]} Feature definitions: {verdict}", "", _MEANINGS[verdict]]
    if diff.changes:
        lines += ["", "| Verdict | Change |", "|---|---|"]
        lines += [f"| {change.verdict} | {_cell(change.sentence)} |" for change in diff.changes]
    if diff.changes and diff.services:
        lines += ["", "| Service | What it means to its readers |", "|---|---|"]
        lines += [f"| {_cell(name)} | {said} |" for name, said in diff.services]
    if diff.obstacles:
        lines += ["", _OBSTACLES, "", *(f"- {_cell(obstacle)}" for obstacle in diff.obstacles)]
    return "\n".join(lines)


def as_json(diff: Diff) -> str:
    """Return a JSON document: ``verdict``, ``changes``, ``services`` and ``obstacles``."""
    content = {
        "verdict": str(diff.verdict),
        "changes": [
            {"object": change.object, "verdict": str(change.verdict), "sentence": change.sentence}
            for change in diff.changes
        ],
        "services": {name: str(verdict) for name, verdict in diff.services},
        "obstacles": [printable(obstacle) for obstacle in diff.obstacles],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _cell(text: str) -> str:
    """Make a table's cell of what a repository's author wrote: no line, column, link or tag of theirs."""
    flat = printable(text)
    for sign in "\\`*_[]<>|#@":
        flat = flat.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return flat


FORMATS: dict[str, Callable[[Diff], str]] = {"text": as_text, "markdown": as_markdown, "json": as_json}

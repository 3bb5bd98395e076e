"""Which task of a run decided how the run ended, and what it reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def deciding_lines(states: Mapping[str, str], summaries: Mapping[str, str]) -> list[str]:
    """
    Return one line for each task that decided: those that failed, else those that skipped the rest.

    :param states: state of each task of the run.
    :param summaries: the line that each task left; tasks that did not run left none.
    """
    failed = list(_ended(states, summaries, "failed", "no line, see its log"))
    return failed or list(_ended(states, summaries, "skipped", None))


def _ended(
    states: Mapping[str, str], summaries: Mapping[str, str], wanted: str, silent: str | None
) -> Iterator[str]:
    for task, state in states.items():
        line = summaries.get(task, silent)
        if state == wanted and line:
            yield f"{task} {state}: {line}"

"""Which test runs where and when: files are spread over workers, those on the running stack stay together."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

PROJECT = Path(__file__).resolve().parents[2]
END_TO_END = "tests/e2e"

# Files of minutes, the longest first: started last, one of them would leave the other workers idle.
_LONG = (
    "test_cut_connections.py",
    "test_kill_matrix.py",
    "test_guide.py",
    "test_training_in_a_pod.py",
    "test_model_follows.py",
    "test_model_of_history.py",
    "test_definition_changes.py",
)
# The end-to-end tests share one stack. The story needs it as it was started; others take it as they find it.
_ON_THE_STACK = ("test_story.py",)


class FilesAndStack(LoadScopeScheduling):
    """Give each file to one worker, and all end-to-end tests together to one: they share a running stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return END_TO_END if file.startswith(f"{END_TO_END}/") else file


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the end-to-end tests first, as they wait most, then unit tests, then the long files."""
    return sorted(items, key=_rank)


def _rank(item: pytest.Item) -> tuple[int, int]:
    file = item.path.relative_to(PROJECT)
    if file.is_relative_to(END_TO_END):
        return 0, _index(file.name, _ON_THE_STACK)
    if file.is_relative_to("tests/unit"):
        return 1, 0
    return 2, _index(file.name, _LONG)


def _index(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else len(names)

"""What can't change a definition is known without Feast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_ops.feast.diff.same_code import same_code

Files = dict[str, str]
BASE: Files = {"features.py": "a = [1, 2]\n", "queries/orders.sql": "SELECT 1", "deep/er.py": "b = 1\n"}

SAME: dict[str, Files] = {
    "nothing": {},
    "a comment": {"features.py": "# why\na = [1, 2]  # so\n"},
    "whitespace and formatting": {"features.py": "\na = [\n    1,\n    2,\n]\n"},
    "quotes and brackets": {"deep/er.py": "b = (1)\n"},
    "a document": {"README.md": "# Read me"},
    "data": {"data/orders.parquet": "PAR1", "data/orders.csv": "a,b"},
    "what tools leave": {"__pycache__/features.pyc": "x", ".git/config": "x", ".venv/lib/x.py": "x = 1"},
}
OTHER: dict[str, Files] = {
    "a value": {"features.py": "a = [1, 3]\n"},
    "an order": {"features.py": "a = [2, 1]\n"},
    "a file": {"more.py": "c = 1\n"},
    "what code may read": {"queries/orders.sql": "SELECT 2"},
    "which files are left out": {".feastignore": "deep/*"},
    "the project": {"feature_store.yaml": "project: other"},
    "what is no Python": {"features.py": "a = = 1\n"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Files], Path]:
    def written(files: Files) -> Path:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        return place

    return written


@pytest.mark.parametrize("change", SAME)
def test_what_can_change_no_definition(change: str, folder: Callable[[Files], Path]) -> None:
    assert same_code(folder(BASE), folder({**BASE, **SAME[change]}))


@pytest.mark.parametrize("change", OTHER)
def test_what_may_change_a_definition(change: str, folder: Callable[[Files], Path]) -> None:
    assert not same_code(folder(BASE), folder({**BASE, **OTHER[change]}))
    assert not same_code(folder({**BASE, **OTHER[change]}), folder(BASE))


def test_broken_code_that_stays_as_it_is_is_the_same(folder: Callable[[Files], Path]) -> None:
    broken = {"features.py": "a = = 1\n"}
    assert same_code(folder(broken), folder(broken))
    assert not same_code(folder(broken), folder({"features.py": "a = = 1 \n"}))

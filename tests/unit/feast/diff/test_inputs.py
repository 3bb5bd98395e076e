"""Every file that the code of a commit can read counts as input of its definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_ops.feast.diff.inputs import (
    IGNORED_ENDINGS,
    IGNORED_FOLDERS,
    copy_inputs,
    is_ignored,
    same_inputs,
)

Files = dict[str, str]
BASE: Files = {"features.py": "a = [1, 2]\n", "queries/orders.sql": "SELECT 1", "deep/er.py": "b = 1\n"}

IGNORED: dict[str, Files] = {
    "nothing": {},
    "a document": {"README.md": "# Read me"},
    "a picture": {"docs/Chart.PNG": "x"},
    "byte code in a cache": {"__pycache__/features.cpython-311.pyc": "x", "deep/__PyCache__/x.py": "x"},
    "byte code without a source": {"features.pyc": "x", "more.PYO": "x"},
    "what tools leave": {".git/config": "x", ".venv/lib/x.py": "x = 1", ".pytest_cache/x": "x"},
}
COUNTED: dict[str, Files] = {
    "a value": {"features.py": "a = [1, 3]\n"},
    "a comment, since code can read its own source": {"features.py": "# 3\na = [1, 2]\n"},
    "formatting, since code can look at line numbers": {"features.py": "\na = [1, 2]\n"},
    "a file": {"more.py": "c = 1\n"},
    "a file without an ending": {"LICENSE": "x"},
    "a query": {"queries/orders.sql": "SELECT 2"},
    "data": {"features.csv": "a,b"},
    "columnar data": {"data/orders.parquet": "PAR1"},
    "a pointer": {"data/orders.parquet.dvc": "md5"},
    "a database": {"x.sqlite": "x"},
    "an extension module": {"fast.so": "x"},
    "which files are left out": {".feastignore": "deep/*"},
    "the project": {"feature_store.yaml": "project: other"},
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


def copied(folder: Path) -> dict[str, bytes]:
    """Return what definitions are read from."""
    target = folder.with_name(f"{folder.name} copy")
    copy_inputs(folder, target, 5)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", IGNORED)
def test_ignored_files_do_not_count_and_do_not_exist_for_the_code(
    change: str, folder: Callable[[Files], Path]
) -> None:
    changed = folder({**BASE, **IGNORED[change]})
    assert same_inputs(folder(BASE), changed)
    assert copied(changed) == {name: text.encode() for name, text in BASE.items()}


@pytest.mark.parametrize("change", COUNTED)
def test_every_other_file_counts_and_exists_for_the_code(
    change: str, folder: Callable[[Files], Path]
) -> None:
    files = {**BASE, **COUNTED[change]}
    assert not same_inputs(folder(BASE), folder(files))
    assert not same_inputs(folder(files), folder(BASE))
    assert copied(folder(files)) == {name: text.encode() for name, text in files.items()}


def test_links_count_by_where_they_lead_and_are_not_followed(
    folder: Callable[[Files], Path], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    one, other = folder(BASE), folder(BASE)
    for place, goal in ((one, secret), (other, tmp_path)):
        (place / "link").symlink_to(goal)
    assert not same_inputs(one, other)
    target = tmp_path / "copy"
    copy_inputs(one, target, 5)
    assert (target / "link").is_symlink()


def test_modification_times_of_copies_are_fixed(folder: Callable[[Files], Path], tmp_path: Path) -> None:
    copy_inputs(folder(BASE), tmp_path / "copy", 7)
    assert {path.stat().st_mtime for path in (tmp_path / "copy").rglob("*")} == {7}


def test_the_documentation_lists_what_is_ignored() -> None:
    page = (Path(__file__).parents[4] / "docs" / "diff.md").read_text()
    for name in (*IGNORED_ENDINGS, *IGNORED_FOLDERS):
        assert f"`{name}`" in page
        assert is_ignored(Path(f"x{name}" if name in IGNORED_ENDINGS else f"{name}/x"))

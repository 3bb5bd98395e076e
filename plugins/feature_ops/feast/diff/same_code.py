"""Tells without Feast, in milliseconds, that two folders can only define the same."""

from __future__ import annotations

import ast
from pathlib import Path

# What people keep beside definitions and no definition is made from.
_NOT_READ = frozenset(
    {
        *(".md", ".rst", ".ipynb", ".png", ".jpg", ".jpeg", ".svg", ".gif", ".pdf", ".pyc", ".lock"),
        *(".parquet", ".csv", ".tsv", ".feather", ".arrow", ".orc", ".avro", ".db", ".sqlite", ".dvc"),
    }
)
_NOT_ENTERED = frozenset({".git", ".venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache"})


def same_code(old: Path, new: Path) -> bool:
    """
    Whether the Python files of two folders differ in nothing but comments, whitespace and formatting.

    Other files count by their bytes, as code may read them: SQL, YAML, ``.feastignore``. Documents
    and data do not count. False says only that the definitions must be loaded to know.
    """
    before, after = _files(old), _files(new)
    return before.keys() == after.keys() and all(
        _equal(before[name], after[name], name.endswith(".py")) for name in before
    )


def _files(folder: Path) -> dict[str, Path]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.suffix.lower() in _NOT_READ or _NOT_ENTERED.intersection(name.parts):
            continue
        # What a link leads to outside of the folder can't be read by its code either.
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            continue
        found[name.as_posix()] = path
    return found


def _equal(old: Path, new: Path, python: bool) -> bool:
    before, after = old.read_bytes(), new.read_bytes()
    if before == after or not python:
        return before == after
    try:
        return ast.dump(ast.parse(before)) == ast.dump(ast.parse(after))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # loading tells what is wrong with it

"""
The files of a feature repository that count as input of its definitions.

Every file counts, except those that :func:`is_ignored` names. Ignored files do not exist for the code of a
commit: definitions are read from a copy without them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePath

from feature_ops.git.tree_files import is_byte_code

#: Endings of documents and pictures.
IGNORED_ENDINGS = frozenset(
    {".md", ".rst", ".ipynb", ".png", ".jpg", ".jpeg", ".svg", ".gif", ".pdf", ".pyc", ".pyo"}
)
#: Folders that tools leave behind.
IGNORED_FOLDERS = frozenset(
    {".git", ".venv", "__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)


def is_ignored(name: PurePath) -> bool:
    """
    Whether a file does not count.

    :param name: its path in the feature repository.
    """
    return (
        name.suffix.lower() in IGNORED_ENDINGS
        or not IGNORED_FOLDERS.isdisjoint(part.lower() for part in name.parts)
        or is_byte_code(os.fsencode(name.as_posix()))
    )


def same_inputs(old: Path, new: Path) -> bool:
    """Whether two feature repositories have the same inputs, byte by byte."""
    before, after = _inputs(old), _inputs(new)
    return before.keys() == after.keys() and all(
        _content(before[name]) == _content(after[name]) for name in before
    )


def copy_inputs(folder: Path, target: Path, timestamp: int) -> None:
    """
    Copy the inputs of a feature repository.

    :param target: a folder that does not exist.
    :param timestamp: modification time of all copies, since definitions may look at it.
    """

    def ignored(inside: str, names: list[str]) -> list[str]:
        return [name for name in names if _is_left_out(Path(inside, name), folder)]

    shutil.copytree(folder, target, symlinks=True, ignore=ignored)
    for path in (target, *target.rglob("*")):
        os.utime(path, (timestamp, timestamp), follow_symlinks=False)


def _is_left_out(path: Path, folder: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return path.name.lower() in IGNORED_FOLDERS
    return is_ignored(path.relative_to(folder))


def _inputs(folder: Path) -> dict[str, Path]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if not is_ignored(name) and (path.is_symlink() or not path.is_dir()):
            found[name.as_posix()] = path
    return found


def _content(path: Path) -> tuple[str, bytes]:
    # A link counts by where it leads: it is never followed out of the folder.
    if path.is_symlink():
        return "link", os.fsencode(os.readlink(path))
    return "file", path.read_bytes()

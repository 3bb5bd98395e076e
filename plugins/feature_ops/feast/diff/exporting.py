"""Takes a folder out of a commit of a local repository, by git's plumbing: no work tree is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from feature_ops.exceptions import BadInputError
from feature_ops.git.command import Git

_REGULAR, _LINK = "100", "120000"
# Larger files are data; no definition is made from them.
_MAX_SIZE = 16 * 1024 * 1024


class LocalRepository:
    """
    A repository on this machine, bare or with a work tree.

    :param folder: any folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self._git = Git(_git_folder(folder))
        self._folder = folder

    def resolve(self, revision: str) -> str:
        """Return the full hash of a commit; raises :class:`BadInputError` if there is none."""
        code, output, _ = self._git.attempt(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        if code != 0:
            raise BadInputError(
                f"{self._folder} has no commit {revision!r}: correct it, or fetch it first "
                "(in CI: check out with the whole history)"
            )
        return output.decode().strip()

    def tree(self, commit: str, path: str) -> str:
        """Return the hash of a folder in a commit: equal hashes, equal content."""
        code, output, _ = self._git.attempt("rev-parse", "--verify", "--quiet", f"{commit}:{_inner(path)}")
        kind = self._git.attempt("cat-file", "-t", output.decode().strip())[1].strip() if code == 0 else b""
        if kind != b"tree":
            raise BadInputError(f"commit {commit[:10]} has no folder {path!r}: say with --path where it is")
        return output.decode().strip()

    def export(self, tree: str, target: Path) -> None:
        """
        Write a folder's files; links that lead out of it, submodules and large data are left out.

        :param tree: its hash.
        :param target: an empty folder; made if missing.
        """
        target.mkdir(parents=True, exist_ok=True)
        entries = list(self._entries(tree))
        wanted = "".join(f"{blob}\n" for _, blob, _ in entries)
        contents = _batch(self._git.run("cat-file", "--batch", stdin=wanted.encode()))
        for (mode, _, name), content in zip(entries, contents, strict=True):
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if mode == _LINK:
                _link(file, os.fsdecode(content), target)
            else:
                file.write_bytes(content)

    def _entries(self, tree: str) -> Iterator[tuple[str, str, str]]:
        for line in self._git.run("ls-tree", "-r", "-l", "-z", tree).split(b"\0")[:-1]:
            about, name = line.split(b"\t", 1)
            mode, _, blob, size = about.decode().split()
            if (mode.startswith(_REGULAR) or mode == _LINK) and int(size) <= _MAX_SIZE:
                yield mode, blob, os.fsdecode(name)


def _inner(path: str) -> str:
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".")]
    if ".." in parts:
        raise BadInputError(f"--path {path!r} leads out of the repository")
    return "/".join(parts)


def _batch(output: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        size = int(output[position:end].split()[2])
        yield output[end + 1 : end + 1 + size]
        position = end + 1 + size + 1


def _link(file: Path, goal: str, target: Path) -> None:
    inside = Path(os.path.normpath(file.parent / goal)).is_relative_to(target)
    if inside and not os.path.isabs(goal):
        file.symlink_to(goal)


def _git_folder(folder: Path) -> Path:
    """
    Find git's own folder; it is given to git by name, so that git asks not whose it is.

    In CI, the repository often belongs to another user than the one who reads it.
    """
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / "HEAD").is_file() and (place / "objects").is_dir():
            return place
        if (place / ".git").is_dir():
            return place / ".git"
        if (place / ".git").is_file():
            named = re.match(r"gitdir: (.+)", (place / ".git").read_text())
            if named:
                return (place / named[1].strip()).resolve()
    raise BadInputError(f"{folder} is in no git repository: say with --repo where it is")

"""
List, check and write the files of a folder of a commit: the only way in which files leave a commit.

Everyone who may push can write a tree object with any name and any mode. Entries that reach out of the
folder, mean another repository, or fill the disk are refused with a :class:`BadInputError` before anything is
written. The rules are the same for a local repository and for one on a server.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import dirname, join, normpath

from feature_ops.exceptions import BadInputError
from feature_ops.git.command import Git
from feature_ops.git.commit_info import one_line

MAX_BYTES = 64 * 1024**2
MAX_FILES = 10_000
_MAX_NAME, _MAX_PATH, _MAX_DEPTH = 255, 1024, 50
_MAX_LINK, _MAX_LINKS_IN_A_ROW = 4096, 10
# No listing of so few files is longer.
_MAX_LISTING = MAX_FILES * (_MAX_PATH + 64)
# A tree of trees that repeats itself takes git longer than anybody waits.
_SECONDS = 20.0

_LISTED = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]{40,64})\t(.*)", re.DOTALL)
_REGULAR_FILE, _LINK, _SUBMODULE = "100", "120000", "160000"
# Characters that file systems leave out when they compare names: HFS+ some, ext4 with case folding all of
# them.
_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_DRIVE = re.compile(rb"[A-Za-z]:")
_SHORT_NAME_OF_GIT = re.compile(r"git~\d+")
_BYTE_CODE = (b".pyc", b".pyo")
# Modification time of written files, in seconds: code can look at it.
_WRITTEN_AT = 1_000_000_000


@dataclass(frozen=True)
class TreeFiles:
    """
    The files of a folder of a commit.

    :param git: the repository; the objects that are read must be there.
    :param path: the folder, for messages.
    :param commit: the commit, for messages.
    :param blobs: name, relative to the folder → hash of the content.
    :param links: the same of the symbolic links.
    """

    git: Git
    path: str
    commit: str
    blobs: Mapping[bytes, str]
    links: Mapping[bytes, str]

    @classmethod
    def listed(cls, git: Git, path: str, commit: str) -> TreeFiles:
        """
        List and check the files under a folder.

        :param path: a folder in the repository; empty for all of it.
        :param commit: full hash.
        """
        tree = folder_hash(git, path, commit)
        if tree is None:
            raise BadInputError(
                f"commit {commit} has no folder {path!r}: correct the path, or commit the folder"
            )
        empty = cls(git, path, commit, {}, {})
        code, listing, errors = git.attempt_first(_MAX_LISTING, _SECONDS, "ls-tree", "-r", "-z", tree)
        if code is None or len(listing) >= _MAX_LISTING:
            raise empty._too_many()
        if code != 0:
            raise BadInputError(
                f"{path or 'the repository'} of commit {commit} can't be read ({one_line(errors, 200)}): "
                "commit the folder again"
            )
        return empty._with(listing)

    def needed(self) -> set[str]:
        """Return the hashes of all contents."""
        return {*self.blobs.values(), *self.links.values()}

    def without_byte_code(self) -> TreeFiles:
        """Return the files without Python's byte code, which could do something else than its source says."""
        kept = {name: blob for name, blob in self.blobs.items() if not is_byte_code(name)}
        return replace(self, blobs=kept)

    def resolved(self) -> TreeFiles:
        """
        Return the files with each symbolic link replaced by the file it leads to.

        A link that leads out of the folder, or to no file in it, is refused.
        """
        if not self.links:
            return self
        goals = dict(zip(self.links, self._link_goals(), strict=True))
        found = {name: self.blobs[self._goal(name, goals)] for name in goals}
        return replace(self, blobs={**self.blobs, **found}, links={})

    def write(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """
        Write the files without byte code; symbolic links become copies.

        :param folder: a folder that is empty or missing.
        :param max_bytes: most bytes that all files may have together.
        """
        files = self.resolved().without_byte_code().blobs
        size = sum(self._sizes(files.values()))
        if size > max_bytes:
            raise BadInputError(
                f"{self.path or 'the repository'} of commit {self.commit} has {size:,} bytes; "
                f"at most {max_bytes:,} are taken: keep data out of it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(files, self._contents(files.values()), strict=True):
            target = folder / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(content)
            os.utime(target, (_WRITTEN_AT, _WRITTEN_AT))

    def _with(self, listing: bytes) -> TreeFiles:
        entries = [entry for entry in listing.split(b"\0") if entry]
        if len(entries) > MAX_FILES:
            raise self._too_many()
        blobs: dict[bytes, str] = {}
        links: dict[bytes, str] = {}
        names: list[bytes] = []
        for entry in entries:
            mode, blob, name = self._parsed(entry)
            (links if mode == _LINK else blobs)[name] = blob
            names.append(name)
        self._check_collisions(names)
        return replace(self, blobs=blobs, links=links)

    def _parsed(self, entry: bytes) -> tuple[str, str, bytes]:
        listed = _LISTED.fullmatch(entry)
        if listed is None:
            raise BadInputError(f"commit {self.commit} has an entry that can't be read: {_shown(entry)}")
        mode, kind, blob, name = listed[1].decode(), listed[2].decode(), listed[3].decode(), listed[4]
        if _is_impossible(name):
            raise BadInputError(f"commit {self.commit} has a file with the impossible name {_shown(name)!r}")
        if mode == _SUBMODULE:
            raise self._refused(name, "is a submodule; put its files there")
        if kind != "blob" or not (mode == _LINK or mode.startswith(_REGULAR_FILE)):
            raise self._refused(name, f"is no file (mode {mode}); put a file there")
        return mode, blob, name

    def _check_collisions(self, names: Collection[bytes]) -> None:
        """Refuse names that some file systems take for one, and files that are folders, too."""
        known: dict[str, tuple[bytes, bool]] = {}
        for name in names:
            parts = name.split(b"/")
            for count in range(1, len(parts) + 1):
                found = b"/".join(parts[:count]), count == len(parts)
                other = known.get(_folded(found[0]))
                if other is None:
                    known[_folded(found[0])] = found
                elif other != found or found[1]:
                    raise self._refused(
                        name, f"and {_shown(other[0])!r} are one file on some systems; rename one of them"
                    )

    def _link_goals(self) -> Iterator[str]:
        for name, size in zip(self.links, self._sizes(self.links.values()), strict=True):
            if size > _MAX_LINK:
                raise self._refused(
                    name, "is a symbolic link with an impossible goal; put the file itself there"
                )
        for goal in self._contents(self.links.values()):
            yield os.fsdecode(goal)

    def _goal(self, link: bytes, goals: Mapping[bytes, str]) -> bytes:
        name = link
        for _ in range(_MAX_LINKS_IN_A_ROW):
            goal = goals[name]
            path = normpath(join(dirname(os.fsdecode(name)), goal))
            if not goal or "\0" in goal or path == ".." or path.startswith(("/", "../")):
                raise self._refused(
                    link, "is a symbolic link that leads out of the folder; put the file itself there"
                )
            name = os.fsencode(path)
            if name in self.blobs:
                return name
            if name not in goals:
                break
        raise self._refused(link, "is a symbolic link to no file of the folder; put the file itself there")

    def _sizes(self, blobs: Iterable[str]) -> list[int]:
        told = self.git.run(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin="\n".join(blobs).encode()
        )
        sizes = []
        for line in told.decode().splitlines():
            name, size = line.split(" ", 1)
            if not size.isdigit():
                raise BadInputError(
                    f"the content {name} of commit {self.commit} is missing in the repository: fetch it, "
                    "or commit the files again"
                )
            sizes.append(int(size))
        return sizes

    def _contents(self, blobs: Iterable[str]) -> Iterator[bytes]:
        told = self.git.run("cat-file", "--batch=%(objectsize)", stdin="\n".join(blobs).encode())
        start = 0
        while start < len(told):
            end = told.index(b"\n", start)
            size = int(told[start:end])
            yield told[end + 1 : end + 1 + size]
            start = end + size + 2

    def _refused(self, name: bytes, why: str) -> BadInputError:
        return BadInputError(f"{self.path or '.'}/{_shown(name)} of commit {self.commit} {why}")

    def _too_many(self) -> BadInputError:
        return BadInputError(
            f"{self.path or 'the repository'} of commit {self.commit} has more than {MAX_FILES:,} files: "
            "keep data out of it"
        )


def folder_hash(git: Git, path: str, commit: str) -> str | None:
    """
    Return the hash of a folder in a commit, None if there is no such folder; equal hashes, equal content.

    :param path: a folder in the repository; empty for all of it.
    """
    inside = normpath(path.strip("/"))
    code, output, _ = git.attempt(
        *("rev-parse", "--verify", "--quiet", "--end-of-options"),
        f"{commit}:{'' if inside == '.' else inside}",
    )
    tree = output.decode().strip()
    is_tree = code == 0 and git.attempt("cat-file", "-t", tree)[1].strip() == b"tree"
    return tree if is_tree else None


def is_byte_code(name: bytes) -> bool:
    """Whether Python could take a file for byte code."""
    lower = name.lower()
    return lower.endswith(_BYTE_CODE) or b"__pycache__" in lower.split(b"/")


def _is_impossible(name: bytes) -> bool:
    # Windows takes both for separators, and what begins with a letter and a colon for a drive.
    parts = name.split(b"/")
    if b"\\" in name and any(
        part in (b"", b".", b"..") or _is_gits(part) for part in re.split(rb"[/\\]", name)
    ):
        return True
    return (
        len(name) > _MAX_PATH
        or _DRIVE.match(name) is not None
        or len(parts) > _MAX_DEPTH
        or any(part in (b"", b".", b"..") or len(part) > _MAX_NAME or _is_gits(part) for part in parts)
    )


def _is_gits(part: bytes) -> bool:
    """Whether some file system takes a name for that of git's own folder."""
    plain = _plain(part.decode(errors="replace"))
    return plain == ".git" or _SHORT_NAME_OF_GIT.fullmatch(plain) is not None


def _folded(path: bytes) -> str:
    """Return what all names have in common that some file system takes for this one."""
    return "/".join(_plain(part) for part in path.decode(errors="surrogateescape").split("/"))


def _plain(part: str) -> str:
    text = unicodedata.normalize("NFD", _IGNORED.sub("", part))
    # NTFS leaves out dots and spaces at the end, and takes what follows a colon for a stream of the file.
    text = text.split(":")[0].rstrip(". ") or text
    return unicodedata.normalize("NFD", _IGNORED.sub("", text.casefold()))


def _shown(name: bytes) -> str:
    return one_line(name.decode(errors="backslashreplace"), 200)

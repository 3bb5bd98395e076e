"""The commits between two commits, and what each of them changes in some folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath

from feature_ops.exceptions import BadInputError
from feature_ops.git.command import Git, git_error

MAX_COMMITS = 100_000
# A full hash, a space for each parent and a line end; few commits have more than two parents.
_MAX_LISTING = MAX_COMMITS * 41 * 3
_SECONDS = 60.0
_MISSING = "missing"


@dataclass(frozen=True)
class CommitGraph:
    """
    A repository with the history of the commits in question.

    :param git: holds the history, and the trees of the commits that are compared.
    """

    git: Git

    def has(self, commit: str) -> bool:
        """Return whether a commit exists here."""
        return self.git.attempt("cat-file", "-t", commit)[1].strip() == b"commit"

    def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Return whether a commit is an ancestor of another one, or the same."""
        code, _, errors = self.git.attempt("merge-base", "--is-ancestor", ancestor, commit)
        if code not in (0, 1):
            raise git_error(errors)
        return code == 0

    def since(self, head: str, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """
        Return commits that are reachable from a commit and from none of the known ones, with their parents.

        All parents of a merge count. The oldest commit comes first.
        """
        self._refuse_shallow()
        code, listing, errors = self.git.attempt_first(
            *(_MAX_LISTING, _SECONDS, "rev-list", "--parents", "--topo-order", "--reverse", head),
            *(f"^{commit}" for commit in known),
        )
        lines = listing.decode().splitlines()
        if code is None or len(listing) >= _MAX_LISTING or len(lines) > MAX_COMMITS:
            raise BadInputError(
                f"more than {MAX_COMMITS:,} commits are to be checked for signatures: set "
                "FEATURE_OPS_GIT_SIGNED_SINCE to a newer commit that you trust"
            )
        if code != 0:
            raise git_error(errors)
        return {commit: tuple(parents) for commit, *parents in map(str.split, lines)}

    def contents(self, commits: Iterable[str], folders: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return by commit what stands for the content of each folder; equal values, equal content."""
        names, inside = list(dict.fromkeys(commits)), [_inside(folder) for folder in folders]
        lines = [f"{name}:{folder}" for name in names for folder in inside]
        # Before a folder is looked up: a commit without its tree has no content that could be compared.
        self._refuse_missing_trees(names)
        found = self._checked(lines)
        width = len(inside)
        return {name: tuple(found[at * width : (at + 1) * width]) for at, name in enumerate(names)}

    def commit_object(self, commit: str, max_bytes: int) -> bytes:
        """Return a commit object, or as many of its first bytes."""
        code, content, errors = self.git.attempt_first(max_bytes, _SECONDS, "cat-file", "commit", commit)
        if code:
            raise git_error(errors)
        return content

    def trees(self, commits: Iterable[str]) -> list[str]:
        """Return the hashes of the commits' trees."""
        wanted = list(dict.fromkeys(commits))
        if not wanted:
            return []
        output = self.git.run(
            "rev-list", "--no-walk", "--stdin", "--format=%T", stdin=_lines(wanted)
        ).decode()
        return sorted({line for line in output.splitlines() if not line.startswith("commit ")})

    def _refuse_missing_trees(self, commits: Sequence[str]) -> None:
        for commit, tree in zip(
            commits, self._checked([f"{name}^{{tree}}" for name in commits]), strict=True
        ):
            if tree == _MISSING:
                raise BadInputError(f"commit {commit[:10]} has no files in the repository: push it again")

    def _checked(self, names: Sequence[str]) -> list[str]:
        if not names:
            return []
        output = self.git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=_lines(names))
        lines = output.decode(errors="backslashreplace").splitlines()
        assert len(lines) == len(names)
        return [_MISSING if line.endswith(f" {_MISSING}") else line for line in lines]

    def _refuse_shallow(self) -> None:
        if self.git.run("rev-parse", "--is-shallow-repository").strip() == b"true":
            raise BadInputError(
                "the repository has an incomplete (shallow) history, so signatures cannot be checked: fetch "
                "the whole history (`git fetch --unshallow`; in CI, check out with depth 0)"
            )


def changed_folders(
    parents: Mapping[str, Sequence[str]], contents: Mapping[str, Sequence[str]], folders: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """
    Return the commits that change one of the folders, with the folders that each changes.

    A merge changes a folder if it differs from any of its parents: one that takes over the older of two sides
    brings back what the other side has replaced. A commit without parents changes all folders that it has.

    :param parents: the commits, each with its parents.
    :param contents: what stands for the content of each folder, by commit.
    """
    absent = (_MISSING,) * len(folders)
    found = {}
    for commit, before in parents.items():
        others = [contents[parent] for parent in before] or [absent]
        changed = tuple(
            folder
            for at, folder in enumerate(folders)
            if any(other[at] != contents[commit][at] for other in others)
        )
        if changed:
            found[commit] = changed
    return found


def _inside(folder: str) -> str:
    path = normpath(folder.strip("/"))
    if "\n" in path or path.startswith(".."):
        raise BadInputError(f"{folder!r} is no folder of the repository")
    return "" if path == "." else path


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()

"""The commits of a remote repository: find, describe and compare them, and take files out of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from feature_ops.git.command import Git, git_error
from feature_ops.git.commit_info import READ_BYTES, CommitInfo, commit_info, one_line
from feature_ops.git.errors import (
    GitError,
    NoRepositoryError,
    TooManyPathsError,
    UnknownRevisionError,
    WrongCredentialsError,
)
from feature_ops.git.repository import Remote
from feature_ops.git.signatures.graph import CommitGraph
from feature_ops.git.tree_files import MAX_BYTES, TreeFiles
from feature_ops.masking import shown_address

_FULL = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_NOT_THERE = re.compile(r"not our ref|bad object|[Cc]ould not find remote ref|couldn't find remote ref")
# Servers of the old protocol give out nothing but the heads; what is behind them comes with a branch.
_HEADS_ONLY = re.compile(r"unadvertised object")
# A tree of trees that repeats itself has more paths than anybody could count.
_MAX_LISTING = 8 * 1024**2
_LISTING_SECONDS = 20.0
# All of it. Without a depth, git 2.39 calls itself without end if the server's own history is incomplete.
_WHOLE_HISTORY = ("--depth=2147483647", "--filter=tree:0")
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")


class Commits:
    """
    As little of a remote repository as the question needs: no work tree, no files nobody asked for.

    Commits come with their folders' listings but without history and files, if the server can do
    that; else with more. Whatever was fetched stays for the next question.

    :param folder: an empty folder for git's objects; made if missing.
    :param timeout: seconds that one git command may take.
    """

    def __init__(self, folder: Path, remote: Remote, timeout: float = 120.0) -> None:
        self.remote = remote
        self.folder = folder
        self._timeout = timeout
        self._git = self._scratch(folder)
        self._fetched: set[str] = set()

    def heads(self) -> dict[str, str]:
        """Return the commit of every branch and tag (``refs/heads/...``, ``refs/tags/...``): one request."""
        # Not splitlines: names of branches may hold other signs that end a line.
        lines = _text(self._run("ls-remote", "--heads", "--tags", "origin")).split("\n")
        named = [line.split("\t", 1) for line in lines if line]
        peeled = {ref.removesuffix("^{}"): sha for sha, ref in named if ref.endswith("^{}")}
        return {ref: sha for sha, ref in named if not ref.endswith("^{}")} | peeled

    def resolve(self, revision: str = "") -> str:
        """
        Return the full hash of the commit that a person means.

        :param revision: a branch, a tag, a full or unique short hash of at least 7 digits; empty or
            ``HEAD`` is the watched branch's newest commit. Raises :class:`UnknownRevisionError` for
            anything else.
        """
        name = revision.strip()
        heads = self.heads()
        if name in ("", "HEAD"):
            return self._watched_head(heads)
        named = {ref: heads[ref] for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}") if ref in heads}
        if len(set(named.values())) > 1:
            raise UnknownRevisionError(
                f"{name!r} is a branch and a tag of {self.remote.url}; say which: {' or '.join(named)}"
            )
        if named:
            return next(iter(named.values()))
        digits = name.lower()
        if _FULL.fullmatch(digits):
            self.fetch(digits)
            return digits
        if _SHORT.fullmatch(digits):
            return self._complete_hash(digits)
        raise UnknownRevisionError(
            f"{self.remote.url} has no branch or tag {_shown(name)!r}; {_accepted(heads)}"
        )

    def fetch(self, sha: str) -> None:
        """
        Make a commit and the listings of its folders available.

        :param sha: full hash. An :class:`UnknownRevisionError` is raised if the server has no such
            commit or, say after a forced push, does not give it out any more.
        """
        if sha in self._fetched:
            return
        if not _FULL.fullmatch(sha):
            raise UnknownRevisionError(f"{sha!r} is not the full hash of a commit")
        try:
            self._fetch("--depth=1", "--filter=blob:none", "origin", f"+{sha}:refs/fetched/{sha}")
        except NoRepositoryError:
            raise
        except GitError as error:
            if _HEADS_ONLY.search(str(error)):
                self._fetch_all()
            elif not _NOT_THERE.search(str(error)):
                raise
        kind = _text(self._git.attempt("cat-file", "-t", sha)[1]).strip()
        if kind != "commit":
            if kind:
                raise UnknownRevisionError(f"{sha} of {self.remote.url} is a {kind}, not a commit")
            raise UnknownRevisionError(
                f"commit {sha} does not exist in {self.remote.url}, or no longer (after a force push): "
                "push it again, or run the DAG for a commit that exists (an empty revision is the newest one "
                f"of {self.remote.branch})"
            )
        self._fetched.add(sha)

    def info(self, sha: str) -> CommitInfo:
        """Return author, subject and time of a commit."""
        self.fetch(sha)
        return commit_info(sha, self._first_bytes(READ_BYTES, "cat-file", "commit", sha))

    def changed_paths(self, old: str, new: str) -> list[str]:
        """
        Return the paths whose content, name or mode differ between two commits, sorted.

        A renamed file counts with both names. The commits between the two do not matter. A
        :class:`TooManyPathsError` is raised if there are too many to list.
        """
        self.fetch(old)
        self.fetch(new)
        return self._listed("diff-tree", "-r", "-z", "--no-renames", "--name-only", old, new)

    def paths(self, sha: str) -> list[str]:
        """Return the paths of all files of a commit, sorted; see :meth:`changed_paths`."""
        self.fetch(sha)
        return self._listed("ls-tree", "-r", "-z", "--name-only", "--full-tree", sha)

    def contents_of(self, sha: str, path: str) -> dict[str, str]:
        """
        Return the hash of the content of each file under a folder of a commit, by the file's path in it.

        Byte code is left out, as :meth:`export` does.

        :param path: a folder in the repository; empty for all of it.
        """
        files = self._files(sha, path)
        self._fetch_blobs(sha, set(files.links.values()))
        return {os.fsdecode(name): blob for name, blob in files.resolved().without_byte_code().blobs.items()}

    def export(self, sha: str, path: str, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """
        Write the files under a folder of a commit: ``<path>/a/b`` becomes ``<folder>/a/b``.

        What could lead out of the folder, submodules, and more than the limits are refused with a
        :class:`BadInputError`, see :class:`~feature_ops.git.tree_files.TreeFiles`.

        :param path: a folder in the repository; empty for all of it.
        :param folder: a folder that is empty or missing.
        :param max_bytes: most bytes that all files may have together.
        """
        files = self._files(sha, path)
        self._fetch_blobs(sha, files.needed())
        files.write(folder, max_bytes)

    def history(self, head: str, *others: str | None) -> CommitGraph:
        """
        Return the whole history of commits, without listings and files if the server can do that.

        :param others: further commits; one that the server does not have is left out.
        """
        self.fetch(head)
        git = self._scratch(self.folder / "history")
        for sha in filter(None, (head, *others)):
            if not _FULL.fullmatch(sha):
                raise UnknownRevisionError(f"{sha!r} is not the full hash of a commit")
            try:
                self._run(*_FETCH, *_WHOLE_HISTORY, "origin", f"+{sha}:refs/wanted/{sha}", git=git)
            except GitError as error:
                if _HEADS_ONLY.search(str(error)):
                    self._run(*_FETCH, "--refetch", "--no-filter", "origin", "+refs/*:refs/all/*", git=git)
                elif sha == head or not _NOT_THERE.search(str(error)):
                    raise
        return CommitGraph(git)

    def fetch_trees(self, graph: CommitGraph, commits: Iterable[str]) -> None:
        """Fetch the listings of all folders of commits in one request, if :meth:`history` left them out."""
        wanted = list(commits)
        if not wanted:
            return
        listing = self._run(
            *("rev-list", "--objects", "--missing=print", "--no-walk", "--max-count=1", wanted[0]),
            git=graph.git,
        )
        if b"\n?" in listing:
            self._fetch_objects(graph.git, graph.trees(wanted))

    def _watched_head(self, heads: Mapping[str, str]) -> str:
        if not heads:
            raise UnknownRevisionError(f"{self.remote.url} has no commit yet; push one to it")
        if self.remote.ref not in heads:
            raise UnknownRevisionError(
                f"{self.remote.url} has no branch {self.remote.branch!r}; {_accepted(heads)}"
            )
        return heads[self.remote.ref]

    def _complete_hash(self, digits: str) -> str:
        """Return the only commit that starts so. All commits are fetched for it, but nothing in them."""
        history = self._scratch(self.folder / "history")
        self._run(
            *(*_FETCH, *_WHOLE_HISTORY, "origin"),
            *("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
            git=history,
        )
        found = [
            line
            for line in _text(self._run("rev-list", "--all", git=history)).splitlines()
            if line.startswith(digits)
        ]
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} commits that start" if found else "no branch, tag or commit that starts"
        raise UnknownRevisionError(
            f"{self.remote.url} has {what} with {digits!r}; give more digits of the hash, or a branch or tag"
        )

    def _files(self, sha: str, path: str) -> TreeFiles:
        self.fetch(sha)
        return TreeFiles.listed(self._git, path, sha)

    def _listed(self, *command: str) -> list[str]:
        listing = self._first_bytes(_MAX_LISTING, *command)
        if len(listing) >= _MAX_LISTING:
            raise TooManyPathsError(
                f"{self.remote.url}: git {command[0]} lists more paths than anybody reads"
            )
        return sorted(_text(path) for path in listing.split(b"\0") if path)

    def _first_bytes(self, count: int, *command: str) -> bytes:
        code, output, errors = self._git.attempt_first(count, _LISTING_SECONDS, *command)
        if code is None and len(output) < count:
            raise TooManyPathsError(f"{self.remote.url}: git {command[0]} takes longer than anybody waits")
        if code:
            raise git_error(errors)
        return output

    def _fetch_blobs(self, sha: str, blobs: set[str]) -> None:
        """Fetch in one request what git would otherwise fetch one by one."""
        if not blobs:
            return
        listing = _text(self._run("rev-list", "--objects", "--missing=print", "--max-count=1", sha))
        missing = blobs & {line[1:] for line in listing.splitlines() if line.startswith("?")}
        if not missing:
            return
        try:
            self._fetch_objects(self._git, missing)
        except GitError as error:
            if not _HEADS_ONLY.search(str(error)):
                raise
            self._fetch_all()

    def _fetch_objects(self, git: Git, names: Iterable[str]) -> None:
        self._run(
            *("-c", "fetch.negotiationAlgorithm=noop", *_FETCH, "--filter=blob:none", "--stdin", "origin"),
            stdin="\n".join(sorted(names)).encode(),
            git=git,
        )

    def _scratch(self, folder: Path) -> Git:
        folder.mkdir(parents=True, exist_ok=True)
        git = Git(folder, self.remote.credentials, self.remote.secrets, self._timeout)
        self._run("init", "--quiet", "--bare", "--template=", str(folder), git=git)
        self._run("config", "remote.origin.url", self.remote.url, git=git)
        return git

    def _fetch(self, *arguments: str) -> None:
        self._run(*_FETCH, *arguments)

    def _fetch_all(self) -> None:
        """Fetch every branch and tag with its history and files."""
        self._fetch("--refetch", "--no-filter", "--depth=2147483647", "origin", "+refs/*:refs/all/*")

    def _run(self, *arguments: str, stdin: bytes = b"", git: Git | None = None) -> bytes:
        try:
            return (git or self._git).run(*arguments, stdin=stdin)
        except WrongCredentialsError as error:
            raise self.remote.sign_in_error(error) from None


def _shown(name: str) -> str:
    """Return a revision that a user typed; it may be a URL with a password, but an ``@`` alone is allowed."""
    return shown_address(name) if ":" in name or "//" in name else name


def _text(told: bytes) -> str:
    return told.decode(errors="backslashreplace")


def _accepted(heads: Mapping[str, str]) -> str:
    names = sorted(one_line(ref.split("/", 2)[2], 100) for ref in heads)
    there = f"there are: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
    return f"accepted are a branch or tag ({there}) and a commit's hash of at least 7 digits"

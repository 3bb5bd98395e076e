"""A branch of a remote repository: look at its newest commit, commit on top of it, push."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.git.command import Git, batch_contents, git_error
from feature_ops.git.commit_signing import signing_options
from feature_ops.git.errors import (
    DeclinedError,
    GitError,
    MovedError,
    NoRepositoryError,
    UnreachableError,
    WrongCredentialsError,
)

# What servers say when somebody else's push came first.
_MOVED = re.compile(
    r"\[rejected\]|cannot lock ref|failed to (write|lock|update ref)|incorrect old value|already exists"
)


@dataclass(frozen=True)
class Remote:
    """
    One branch of a remote repository and how to sign in.

    :param url: its address, without user name and password.
    :param branch: short name of the branch.
    :param credentials: environment variables by which git signs in.
    :param secrets: what must not be in any error.
    :param account: what a person corrects when the sign-in fails.
    """

    url: str
    branch: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    account: str = "the credentials"

    @property
    def ref(self) -> str:
        """Full name of the branch."""
        return f"refs/heads/{self.branch}"

    def sign_in_error(self, error: GitError) -> WrongCredentialsError:
        """Return the error of a refused sign-in in words that name what to correct."""
        return WrongCredentialsError(
            f"{self.url} does not accept the sign-in: check {self.account} ({error})"
        )


@dataclass(frozen=True)
class Author:
    """
    Author and committer of the package's own commits.

    :param signing_key: SSH private key that signs them; None if they are not signed.
    """

    name: str
    email: str
    signing_key: Path | None = None


class Repository:
    """
    As little of a remote branch as its newest commit needs: no history, no files, no work tree.

    Files are read when they are asked for, and commits are made from their parts, so the cost of a
    commit grows neither with the history nor with the files beside it.

    :param folder: where git keeps its objects; made if missing.
    :param timeout: seconds that one git command may take.
    """

    def __init__(self, folder: Path, remote: Remote, timeout: float = 120.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.remote = remote
        self.head: str | None = None
        self._fetched: str | None = None
        self._git = Git(folder, remote.credentials, remote.secrets, timeout)
        self._complete: set[str] = set()
        self._run("init", "--quiet", "--bare", "--template=", str(folder))
        self._run("remote", "add", "origin", remote.url)

    def fetch(self) -> str | None:
        """
        Return the branch's newest commit, or None if the repository has no commit yet.

        Local commits that were not pushed are forgotten.
        """
        branches = self._remote_branches()
        head = branches.get(self.remote.ref)
        if head is None and branches:
            names = ", ".join(sorted(ref.removeprefix("refs/heads/") for ref in branches)[:10])
            raise NoRepositoryError(
                f"{self.remote.url} has no branch {self.remote.branch!r} (there are: {names}); "
                "set FEATURE_OPS_GIT_BRANCH to the branch that pointers are committed to"
            )
        if head is not None and head not in self._complete:
            here = "refs/remotes/origin/head"
            self._run(
                *("fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none"),
                *("origin", f"+{self.remote.ref}:{here}"),
            )
            head = self._run("rev-parse", here).decode().strip()
            self._complete.add(head)
        self.head = self._fetched = head
        return head

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder at :attr:`head`, sorted."""
        return sorted(path.rsplit("/", 1)[-1] for path in self._blobs(f"{folder}/"))

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the content of those of the files that :attr:`head` has."""
        wanted = list(paths)
        blobs = self._blobs(*wanted) if wanted else {}
        self._fetch_missing(set(blobs.values()))
        return {path: self._run("cat-file", "blob", blob) for path, blob in blobs.items()}

    def read_folder(self, folder: str) -> dict[str, bytes]:
        """Return the content of the files directly in a folder at :attr:`head`, by name: one request."""
        blobs = {path.rsplit("/", 1)[-1]: blob for path, blob in self._blobs(f"{folder}/").items()}
        self._fetch_missing(set(blobs.values()))
        names = sorted(blobs)
        wanted = "".join(f"{blobs[name]}\n" for name in names).encode()
        contents = batch_contents(self._run("cat-file", "--batch", stdin=wanted)) if names else []
        return dict(zip(names, contents, strict=True))

    def last_change(self, path: str, kind: str) -> tuple[str, str] | None:
        """
        Return the newest commit that added or deleted a file, and its message; None if there is none.

        Fetches the branch's history without its files.

        :param kind: ``A`` for added, ``D`` for deleted.
        """
        if self.head is None:
            return None
        self._fetch_history()
        output = self._run(
            *("log", "-1", "--no-renames", f"--diff-filter={kind}", "--format=%H%n%B", self.head, "--", path)
        ).decode(errors="replace")
        commit, _, message = output.strip().partition("\n")
        return (commit, message) if commit else None

    def commit(self, files: Mapping[str, bytes], message: str, author: Author) -> bool:
        """
        Put files on top of :attr:`head`, as a new head; returns False if they are all there already.

        Never makes an empty commit. Nothing leaves this machine before :meth:`push`.
        """
        index = {"GIT_INDEX_FILE": str(self._git.folder / "index")}
        self._run("read-tree", self.head or "--empty", extra=index)
        entries = b"".join(
            f"100644 {self._write(content)}\t{path}\0".encode() for path, content in files.items()
        )
        self._run("update-index", "-z", "--index-info", stdin=entries, extra=index)
        tree = self._run("write-tree", "--missing-ok", extra=index).decode().strip()
        if self.head is not None and tree == self._run("rev-parse", f"{self.head}^{{tree}}").decode().strip():
            return False
        identity = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author.name), ("EMAIL", author.email))
        }
        parents = ("-p", self.head) if self.head else ()
        options = signing_options(author.signing_key, self._git.folder)
        made = self._run(
            *(*options, "commit-tree", *(("-S",) if options else ()), tree, *parents),
            stdin=message.encode(),
            extra=identity,
        )
        self.head = made.decode().strip()
        self._complete.add(self.head)
        return True

    def push(self) -> None:
        """
        Offer :attr:`head` to the remote, which takes it only as a continuation of its branch.

        Raises :class:`MovedError` if somebody else was faster, :class:`DeclinedError` if the server
        does not want it at all.
        """
        assert self.head is not None
        with passing(CommitPoint.POINTERS_PUSHED):
            code, output, errors = self._git.attempt(
                "push", "--porcelain", "origin", f"{self.head}:{self.remote.ref}"
            )
        refusal = next((line for line in output.decode().splitlines() if line.startswith("!")), None)
        if refusal is None:
            self._raise_unless_zero(code, errors)
            return
        reason = refusal.split("\t")[-1]
        if _MOVED.search(reason):
            raise MovedError(f"{self.remote.branch} of {self.remote.url} moved: {reason}")
        told = [line for line in errors.splitlines() if line.startswith("remote:")][:5]
        raise DeclinedError(
            f"{self.remote.url} refuses commits to {self.remote.branch}: {' | '.join([reason, *told])}; "
            f"let the account of {self.remote.account} push to it, or set FEATURE_OPS_GIT_BRANCH"
        )

    def publish(self, add_missing: Callable[[], None], attempts: int = 12) -> str | None:
        """
        Return the remote's head once it holds what is wanted, whoever else writes meanwhile.

        The first attempt starts from the commit that was fetched last, every other from the newest,
        so nothing is ever merged and history stays linear. A push counts only when the remote is seen
        to hold it: some servers answer "ok" to the loser of a race.

        :param add_missing: commits what :attr:`head` lacks, or nothing.
        :param attempts: how often others may be faster before a :class:`MovedError`.
        """
        broken: UnreachableError | None = None
        for attempt in range(attempts):
            is_known = attempt == 0 and self._fetched is not None and self.head == self._fetched
            there = self.head if is_known else self.fetch()
            add_missing()
            if self.head == there:
                return there
            if broken is not None:
                raise broken
            try:
                self.push()
            except UnreachableError as error:
                # It may have arrived and only the answer was lost: one more look will tell.
                broken = error
            except MovedError:
                time.sleep(random.uniform(0, min(5.0, 0.1 * 2**attempt)))  # noqa: S311
        raise MovedError(
            f"{self.remote.branch} of {self.remote.url} moved {attempts} times while pointers were "
            "pushed to it; the next try goes on from there"
        )

    def _remote_branches(self) -> dict[str, str]:
        # Names of branches and files may be anything but UTF-8, and hold signs that end a line.
        lines = self._run("ls-remote", "--heads", "origin").decode(errors="backslashreplace").split("\n")
        return {ref: commit for commit, ref in (line.split("\t", 1) for line in lines if line)}

    def _blobs(self, *paths: str) -> dict[str, str]:
        if self.head is None:
            return {}
        listing = self._run("ls-tree", "-z", self.head, "--", *paths)
        entries = listing.decode(errors="backslashreplace").split("\0")
        parsed = [entry.split("\t", 1) for entry in entries if entry]
        return {path: facts.split()[2] for facts, path in parsed if facts.split()[1] == "blob"}

    def _fetch_missing(self, blobs: set[str]) -> None:
        """Fetch in one request what git would otherwise fetch one by one."""
        if self.head is None or len(blobs) < 2:
            return
        listing = self._run("rev-list", "--objects", "--missing=print", "--max-count=1", self.head).decode()
        missing = blobs & {line[1:] for line in listing.splitlines() if line.startswith("?")}
        if missing:
            self._run(
                *("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"),
                *("--no-write-fetch-head", "--filter=blob:none", "--stdin", "origin"),
                stdin="\n".join(sorted(missing)).encode(),
            )

    def _fetch_history(self) -> None:
        if self._run("rev-parse", "--is-shallow-repository").strip() == b"true":
            self._run(
                *("fetch", "--quiet", "--no-tags", "--unshallow", "--filter=blob:none"),
                *("origin", f"+{self.remote.ref}:refs/remotes/origin/head"),
            )

    def _write(self, content: bytes) -> str:
        return self._run("hash-object", "-w", "--stdin", stdin=content).decode().strip()

    def _run(self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        try:
            return self._git.run(*arguments, stdin=stdin, extra=extra)
        except WrongCredentialsError as error:
            raise self.remote.sign_in_error(error) from None
        except UnreachableError as error:
            raise self._named(error) from None

    def _raise_unless_zero(self, code: int, errors: str) -> None:
        if code == 0:
            return
        error = git_error(errors)
        if isinstance(error, WrongCredentialsError):
            raise self.remote.sign_in_error(error)
        raise self._named(error)

    def _named(self, error: GitError) -> GitError:
        """Return the error with the server's address, which git leaves out when an answer breaks off."""
        address = self.remote.url
        return error if address in str(error) else type(error)(f"{address}: {error}")

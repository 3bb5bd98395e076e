"""Real SSH keys and signed commits for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.policy import Span, refuse_unsigned
from tests.unit.git.clone import Clone

FOLDER = "feature_repo"
CODE = f"{FOLDER}/features.py"
NAMES = ("ada", "bob", "eve", "old")


def run(*command: str, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
    return subprocess.run(command, input=stdin, capture_output=True, check=True, cwd=cwd, timeout=60).stdout


class Keys:
    """One SSH key per name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in NAMES:
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))

    def private(self, name: str) -> Path:
        return self.folder / name

    def line(self, name: str, principal: str | None = None, options: str = "") -> str:
        """Return a line of an allowed-signers file."""
        kind, key, _ = (self.folder / f"{name}.pub").read_text().split()
        return " ".join(filter(None, [principal or f"{name}@localhost", options, kind, key])) + "\n"

    def options(self, name: str | None) -> list[str]:
        """Return git's options for committing as a signer; without a name, for no signature."""
        if name is None:
            return ["-c", "commit.gpgSign=false"]
        return [
            *("-c", "gpg.format=ssh", "-c", "commit.gpgSign=true", "-c", f"user.name={name}"),
            *("-c", f"user.signingKey={self.private(name)}", "-c", f"user.email={name}@localhost"),
        ]


class Team:
    """A clone whose commits are signed by whom the test names, and the check of what is pushed."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.keys, self.clone, self.folder = keys, Clone(folder), folder
        self.clone.serve("config", "uploadpack.allowAnySHA1InWant", "true")
        self.signers = folder / "allowed_signers"
        self.signers.write_text(keys.line("ada") + keys.line("bob"))
        self._checks = 0

    def commit(self, files: dict[str, str], signer: str | None = "ada", subject: str = "change") -> str:
        for path, text in files.items():
            target = self.clone.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            self.clone.git("add", path)
        return self.git("commit", "-q", "--allow-empty", "-m", subject, signer=signer)

    def git(self, *arguments: str, signer: str | None = "ada") -> str:
        """Run git as a signer; returns the commit that is checked out then."""
        self.clone.git(*self.keys.options(signer), *arguments)
        return self.head

    @property
    def head(self) -> str:
        return self.clone.git("rev-parse", "HEAD")

    def _exists(self, commit: str) -> bool:
        command = ["git", "-C", str(self.clone.folder), "cat-file", "-e", f"{commit}^{{commit}}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def object(self, commit: str) -> bytes:
        return run("git", "-C", str(self.clone.folder), "cat-file", "commit", commit)

    def forge(self, content: bytes) -> str:
        """Write a commit object as it is and check it out; returns its hash."""
        command = ("git", "-C", str(self.clone.folder), "hash-object", "-t", "commit", "-w", "--literally")
        sha = run(*command, "--stdin", stdin=content).decode().strip()
        self.clone.git("update-ref", "HEAD", sha)
        return sha

    def check(
        self,
        head: str,
        applied: str | None,
        trusted: str | None = None,
        folders: Sequence[str] = (FOLDER,),
        signers: Sequence[Path] | None = None,
    ) -> dict[str, str]:
        """Push everything, then check it on a fresh clone; returns the signers by commit."""
        there = [one for one in (applied, trusted) if one and self._exists(one)]
        kept = [f"{one}:refs/heads/kept/{one}" for one in there]
        self.clone.git("push", "-q", "-f", "origin", f"{head}:refs/heads/main", *kept)
        self._checks += 1
        scratch = self.folder / f"check-{self._checks}"
        commits = self.clone.commits(str(scratch / "git"))
        allowed = AllowedSigners.read([self.signers] if signers is None else signers, scratch / "signers")
        graph = commits.history(head, applied, trusted)
        span = Span(head, applied, trusted, tuple(folders))
        return refuse_unsigned(graph, span, allowed, partial(commits.fetch_trees, graph))

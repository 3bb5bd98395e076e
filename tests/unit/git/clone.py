"""A person's clone of a bare repository, for tests that need commits."""

from __future__ import annotations

import subprocess
from pathlib import Path

from feature_ops.git.commits import Commits
from feature_ops.git.repository import Remote


class Clone:
    """A clone that pushes all it commits, to a bare repository beside it unless another is given."""

    def __init__(self, folder: Path, remote: str | None = None, *options: str) -> None:
        self.folder, self.bare = folder / "clone", folder / "remote.git"
        self._options = ("-c", "user.name=Ada Ü", "-c", "user.email=ada@localhost", *options)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.folder)], check=True)
        if remote is None:
            self.create_bare()
        self.git("remote", "add", "origin", remote or str(self.bare))

    @property
    def url(self) -> str:
        """The bare repository's address."""
        return f"file://{self.bare}"

    def create_bare(self) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        self.allow_filter()

    def allow_filter(self, allow: bool = True) -> None:
        self.serve("config", "uploadpack.allowFilter", str(allow).lower())

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *self._options, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def serve(self, *arguments: str) -> str:
        """Run git in the bare repository itself."""
        return self.git("--git-dir", str(self.bare), *arguments)

    def commit(self, subject: str, files: dict[str, str] | None = None, push: bool = True) -> str:
        """Commit what is staged and the files, push the branch by force, return the commit."""
        for path, text in (files or {}).items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            self.git("add", path)
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        if push:
            self.git("push", "-q", "-f", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def commit_many(self, count: int, path: str) -> None:
        """Commit a file so many times and push all at once; the last subject is `number <count>`."""
        stream = "".join(
            f"commit refs/heads/main\ncommitter Ada <ada@localhost> {1800000000 + number} +0000\n"
            f"data <<.\nnumber {number}\n.\n{'from refs/heads/main^0' if number == 1 else ''}\n"
            f"M 100644 inline {path}\ndata <<.\n{number}\n.\n"
            for number in range(1, count + 1)
        )
        command = ["git", "-C", str(self.folder), "fast-import", "--quiet"]
        subprocess.run(command, input=stream, text=True, check=True, timeout=60)
        self.git("push", "-q", "origin", "main")

    def commits(self, name: str = "scratch", branch: str = "main", **credentials: str) -> Commits:
        """Open the code under test on the bare repository, in a scratch folder of that name."""
        return Commits(self.bare.parent / name, Remote(self.url, branch, credentials=credentials))

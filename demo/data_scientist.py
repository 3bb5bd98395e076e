"""A data scientist: has a clone of the repository, edits the features, pushes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError

SERVICE = "feature_repo/feature_service.py"
VIEW = "feature_repo/features.py"
LABELS = "model/jukebox/labels.py"
DESCRIPTION = "model/jukebox/description.py"

Edit = Callable[[str], str]


@dataclass(frozen=True)
class Push:
    """A pushed commit, and when the push had ended (seconds since the epoch)."""

    commit: str
    pushed_at: float


class DataScientist:
    """
    One person's clone.

    :param folder: where it is kept; made at the first use.
    :param url: the repository.
    :param environment: the variables with which git signs in.
    """

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str]) -> None:
        self._folder, self._url = folder, url
        names = {f"GIT_{role}_{key}": v for role in ("AUTHOR", "COMMITTER") for key, v in _ADA.items()}
        self._environment = {**os.environ, **environment, **names}

    def push(self, subject: str, edits: Mapping[str, Edit], commits: int = 1) -> Push:
        """
        Edit files of the newest commit, commit and push.

        :param edits: path → what makes the new text of the old (an empty one if there is no such file).
        :param commits: push so many commits one by one, each with one more line in a comment.
        """
        if not self._folder.exists():
            self._git("clone", "--quiet", self._url, str(self._folder), cwd=self._folder.parent)
        self._git("pull", "--quiet", "--rebase")
        for path, edit in edits.items():
            file = self._folder / path
            before = file.read_text() if file.exists() else ""
            after = edit(before)
            if after == before:
                raise DemoError(f"{path} is not as it was expected: the edit for “{subject}” changes nothing")
            file.write_text(after)
        for number in range(1, commits + 1):
            if number > 1:
                with (self._folder / SERVICE).open("a") as file:
                    file.write(f"# note {number}\n")
            self._git("add", "--all")
            self._git("commit", "--quiet", "--message", subject if number == 1 else f"{subject} ({number})")
            self._git("push", "--quiet")
        return Push(self._git("rev-parse", "HEAD"), time.time())

    def _git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"git {arguments[0]} failed: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


_ADA = {"NAME": "Ada", "EMAIL": "ada@localhost"}

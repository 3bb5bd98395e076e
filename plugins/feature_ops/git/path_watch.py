"""What a watcher of a branch decides, without asking anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pathspec import GitIgnoreSpec

# The commit before the first one: all that a branch brings then is a change.
NO_COMMIT = ""


class Verdict(StrEnum):
    """What a look at the heads says."""

    UNMOVED = "the branch is where it was"
    GONE = "the branch is not there"
    ELSEWHERE = "the branch moved, but no watched path changed"
    CHANGED = "a watched path changed"


@dataclass(frozen=True)
class PathWatch:
    """
    Paths on a branch or tag.

    :param ref: a branch or tag, short or in full. A branch comes before a tag of the same short name.
    :param patterns: as in a ``.gitignore``: without a slash at any depth (``*.py``), with one from the
        repository's root on (``feature_repo/**``, ``/setup.py``); ``*`` ends at a slash, ``**`` does
        not; the name of a folder means all below it; ``!`` takes out again what an earlier pattern
        named. A bad one raises ``ValueError``.
    """

    ref: str
    patterns: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.ref.strip():
            raise ValueError("ref must be a branch or a tag, such as main")
        if not any(pattern.include for pattern in self._spec.patterns):
            raise ValueError(f"paths must name at least one path, such as feature_repo/**: {self.patterns}")
        for text, pattern in zip(self.patterns, self._spec.patterns, strict=True):
            if pattern.include is None:
                raise ValueError(f"{text!r} in paths names no path; patterns are those of a .gitignore")

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines(self.patterns)

    def head(self, heads: Mapping[str, str]) -> str | None:
        """Return the ref's commit, None if there is no such ref."""
        names = (self.ref, f"refs/heads/{self.ref}", f"refs/tags/{self.ref}")
        return next((heads[name] for name in names if name in heads), None)

    def matching(self, changed: Iterable[str]) -> list[str]:
        """Return those of the paths that are watched."""
        return [path for path in changed if self._spec.match_file(path)]

    def decide(self, handled: str, head: str | None, changed: Iterable[str] | None = None) -> Verdict:
        """
        Return what a head means to somebody who dealt with a commit already.

        :param handled: the commit that was dealt with; :data:`NO_COMMIT` before the first.
        :param head: the ref's commit now, None if the ref is gone. What comes back after that is
            compared with what was dealt with before.
        :param changed: paths that differ between the two; None if nobody can tell any more, which is
            taken for a change, since a run too many does less harm than one too few.
        """
        if head is None:
            return Verdict.GONE
        if head == handled:
            return Verdict.UNMOVED
        if changed is None or self.matching(changed):
            return Verdict.CHANGED
        return Verdict.ELSEWHERE

"""How much a change of definitions means to those who read features, in four steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from feature_ops.feast.diff import kinds
from feature_ops.git.command import scrub

# Views and services are named alone: they are what people talk about.
_LABELS = {
    kinds.PROJECT: "project ",
    kinds.DATA_SOURCE: "source ",
    kinds.ENTITY: "entity ",
    kinds.PERMISSION: "permission ",
    kinds.SAVED_DATASET: "saved dataset ",
    kinds.VALIDATION_REFERENCE: "validation reference ",
}


class Verdict(IntEnum):
    """
    What a change means; the greater, the more it means.

    ``none``: nothing. ``metadata``: tags, descriptions or owners. ``additive``: something came that
    takes nothing away. ``breaking``: a reader may get other values than before, or none.
    """

    NONE = 0
    METADATA = 1
    ADDITIVE = 2
    BREAKING = 3

    def __str__(self) -> str:
        return self.name.lower()


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that means most; ``none`` if there is none."""
    return max(verdicts, default=Verdict.NONE)


def printable(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return what a stranger wrote as one line without control characters, user info and secrets."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return scrub(" ".join(plain.split()), secrets)


@dataclass(frozen=True)
class Change:
    """
    One change of one object.

    :param kind: kind of the object, one of :data:`feature_ops.feast.diff.kinds.KINDS`.
    :param object: its name.
    :param words: what changed, e.g. ``− song_properties:loudness``.
    :param features: names of the features that it concerns; empty if it concerns the whole object.
    """

    kind: str
    object: str
    verdict: Verdict
    words: str
    features: frozenset[str] = frozenset()

    @property
    def sentence(self) -> str:
        """What changed, with the object: ``serving_fs: − song_properties:loudness``."""
        return printable(f"{_LABELS.get(self.kind, '')}{self.object}: {self.words}")


@dataclass(frozen=True)
class Diff:
    """
    How two commits' definitions differ.

    :param changes: sorted, the most important first.
    :param services: every service of either commit → what the changes mean to those who read
        features through it, also when they happened to views, entities or sources below it.
    :param obstacles: why the new definitions can't be applied as they are, in words.
    """

    changes: tuple[Change, ...] = ()
    services: tuple[tuple[str, Verdict], ...] = ()
    obstacles: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict over all changes."""
        return worst(change.verdict for change in self.changes)

    def of_service(self, name: str) -> Verdict:
        """Return what the changes mean to a service's readers; ``none`` if there is no such service."""
        return dict(self.services).get(name, Verdict.NONE)

    def of_objects(self) -> dict[tuple[str, str], Verdict]:
        """Return (kind, name) → verdict of each changed object."""
        found: dict[tuple[str, str], Verdict] = {}
        for change in self.changes:
            key = change.kind, change.object
            found[key] = worst([change.verdict, found.get(key, Verdict.NONE)])
        return found

    def summary(self, service: str | None = None) -> str:
        """
        Return one line: ``breaking: serving_fs: − song_properties:loudness``.

        :param service: a service's name; its own changes are then told without it, as in
            ``breaking: − song_properties:loudness``.
        """
        if not self.changes:
            return "none: the definitions mean the same"
        return f"{self.verdict}: " + "; ".join(
            printable(change.words)
            if change.kind == kinds.FEATURE_SERVICE and change.object == service
            else change.sentence
            for change in self.changes
        )

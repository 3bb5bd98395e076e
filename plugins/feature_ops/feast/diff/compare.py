"""
Compares what two commits define, object by object.

Pure, and without Feast: :func:`compare` takes :class:`~feature_ops.feast.diff.definitions.Definitions`
and returns a :class:`~feature_ops.feast.diff.verdict.Diff`.
"""

from __future__ import annotations

from collections.abc import Iterator

from feature_ops.feast.diff.collisions import new_collisions
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.field_rules import Told, changed_fields
from feature_ops.feast.diff.kinds import (
    DATA_SOURCE,
    FEATURE_SERVICE,
    KINDS,
    PERMISSION,
    PROJECT,
    VIEWS,
    Data,
    Objects,
)
from feature_ops.feast.diff.reading import Read, objects_read
from feature_ops.feast.diff.unsupported import TrainedService, unsupported
from feature_ops.feast.diff.verdict import Change, Diff, Verdict, worst


def compare(old: Definitions, new: Definitions, trained: TrainedService | None = None) -> Diff:
    """
    Return how the definitions differ; ``compare(a, a)`` has the verdict ``none`` and no changes.

    Neither the order of features nor any Python name counts: Feast's readers ask by name.

    :param trained: the service of the deployment's model, of which more is required than of others.
    """
    changes = [
        *_project(old, new),
        *(change for kind in KINDS if kind != PROJECT for change in _kind(kind, old, new)),
    ]
    if old.project == new.project:
        changes += _fields(PROJECT, new.project, old, new)
    changes.sort(key=lambda change: (-change.verdict, KINDS[::-1].index(change.kind), change.object))
    obstacles = (*new.incomplete, *unsupported(new, trained))
    return Diff(tuple(changes), tuple(_services(old, new, changes)), obstacles)


def _project(old: Definitions, new: Definitions) -> Iterator[Change]:
    if old.project != new.project:
        words = f"renamed {old.project} → {new.project}: its registry and online store begin empty"
        yield Change(PROJECT, new.project, Verdict.BREAKING, words)


def _kind(kind: str, old: Definitions, new: Definitions) -> Iterator[Change]:
    before, after = old.of_kind(kind), new.of_kind(kind)
    for name in sorted({*before, *after}):
        other = _other_view(new if name in before else old, kind, name)
        if name not in after and other:
            words = f"is a {other} now, no longer a {kind}"
            yield Change(other, name, Verdict.BREAKING, words)
        elif name not in before and other:
            continue  # told above, of the view that it was
        elif name not in after:
            yield Change(kind, name, Verdict.BREAKING, "removed" + _readers(old.objects, kind, name))
        elif name not in before:
            yield Change(kind, name, Verdict.ADDITIVE, _added(kind, after[name]))
        else:
            yield from _fields(kind, name, old, new)


def _added(kind: str, data: Data) -> str:
    words = new_collisions({}, data.get("features", {})) if kind == FEATURE_SERVICE else ""
    return f"added; {words}" if words else "added"


def _other_view(definitions: Definitions, kind: str, name: str) -> str | None:
    """Return under which other kind of view a name is known: views of all kinds share their names."""
    others = [other for other in VIEWS if other != kind and kind in VIEWS]
    return next((other for other in others if name in definitions.of_kind(other)), None)


def _fields(kind: str, name: str, old: Definitions, new: Definitions) -> Iterator[Change]:
    before, after = old.of_kind(kind).get(name, {}), new.of_kind(kind).get(name, {})
    if before == after:
        return
    for told in changed_fields(kind, before, after):
        if not _told_at_source(told, old, new):
            yield Change(kind, name, told.verdict, told.words, told.features)
    for tag, permission in _tags_that_permit(old, new):
        if before.get("tags", {}).get(tag) != after.get("tags", {}).get(tag):
            words = f"its tag {tag} changed, by which permission {permission} finds objects"
            yield Change(kind, name, Verdict.BREAKING, words)


def _tags_that_permit(old: Definitions, new: Definitions) -> list[tuple[str, str]]:
    """Return the tags that decide which objects a permission is about, and the permission."""
    return sorted(
        {
            (tag, name)
            for side in (old, new)
            for name, permission in side.of_kind(PERMISSION).items()
            for tag in permission.get("required_tags", {})
        }
    )


def _told_at_source(told: Told, old: Definitions, new: Definitions) -> bool:
    """Whether a change of the copy of a source within a view is told of the source itself, too."""
    sources = old.of_kind(DATA_SOURCE), new.of_kind(DATA_SOURCE)
    if told.source is None or not all(told.source in known for known in sources):
        return False
    return sources[0][told.source] != sources[1][told.source]


def _readers(objects: Objects, kind: str, name: str) -> str:
    readers = [
        service
        for service, data in sorted(objects.get(FEATURE_SERVICE, {}).items())
        if (kind, name) in objects_read(objects, data)
    ]
    return f", {', '.join(readers)} read it" if readers else ""


def _services(old: Definitions, new: Definitions, changes: list[Change]) -> Iterator[tuple[str, Verdict]]:
    before, after = old.of_kind(FEATURE_SERVICE), new.of_kind(FEATURE_SERVICE)
    for name in sorted({*before, *after}):
        read: Read = {(FEATURE_SERVICE, name): set()}
        for objects, services in ((old.objects, before), (new.objects, after)):
            for key, features in objects_read(objects, services.get(name, {})).items():
                read.setdefault(key, set()).update(features)
        yield name, worst(change.verdict for change in changes if _concerns(change, read))


def _concerns(change: Change, read: Read) -> bool:
    if change.kind == PROJECT:
        return change.verdict is Verdict.BREAKING
    features = read.get((change.kind, change.object))
    if features is None:
        return False
    return not change.features or not change.features.isdisjoint(features)

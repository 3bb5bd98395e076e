"""Every Feast object of one feature repository as plain data, which needs neither Feast nor its code."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from feature_ops.feast.diff.kinds import FEATURE_SERVICE, KINDS, VIEWS, Data, Objects
from feature_ops.feast.diff.reading import values_read


@dataclass(frozen=True)
class SerializedObject:
    """
    One object as Feast's own protobuf message, complete with the body of its function.

    :param kind: one of :data:`feature_ops.feast.diff.kinds.KINDS`.
    :param message: the serialized message, e.g. of ``feast.core.FeatureView``. ``from_proto`` of the
        matching class makes an equal object of it; for views with functions ``skip_udf=True`` leaves
        the function's code unread, which a process with credentials should insist on.
    """

    kind: str
    name: str
    message: bytes = field(repr=False)


@dataclass(frozen=True)
class Definitions:
    """
    What one feature repository defines.

    :param project: name of its Feast project.
    :param objects: kind → name → canonical data: two objects have equal data exactly if Feast's users
        can't tell them apart. Order, times and what a default says anyway are not in it.
    :param protos: the same objects as protobuf messages, by which they can be applied without running
        the repository's code.
    :param incomplete: why they can't be applied or served as they are, in words: what only Feast's
        inference from the data could complete, and functions that Feast loses on the way. They can be
        compared all the same.
    """

    project: str
    objects: Objects
    protos: tuple[SerializedObject, ...] = field(default=(), repr=False)
    incomplete: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> Mapping[str, Data]:
        """Return name → canonical data of the objects of one kind."""
        return self.objects.get(kind, {})

    def views(self) -> Iterator[tuple[str, str, Data]]:
        """Yield kind, name and data of each view of any kind."""
        for kind in VIEWS:
            for name, data in self.of_kind(kind).items():
                yield kind, name, data

    def digest(self) -> str:
        """Return a hash (hex) over all of it, messages included."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON-able data."""
        return {
            "project": self.project,
            "objects": self.objects,
            "protos": [
                {"kind": item.kind, "name": item.name, "message": base64.b64encode(item.message).decode()}
                for item in self.protos
            ],
            "incomplete": list(self.incomplete),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Definitions:
        """Return what :meth:`to_json` made; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        protos = tuple(
            SerializedObject(
                str(item["kind"]), str(item["name"]), base64.b64decode(item["message"], validate=True)
            )
            for item in content["protos"]
        )
        unknown = {item.kind for item in protos} | set(content["objects"])
        if unknown - set(KINDS):
            raise ValueError(f"unknown kinds: {sorted(unknown - set(KINDS))}")
        return cls(
            str(content["project"]), content["objects"], protos, tuple(map(str, content["incomplete"]))
        )


def first_difference(first: Definitions, second: Definitions) -> str:
    """
    Return where two readings of one repository differ; empty if they do not.

    :return: the object, and the path of the field in it.
    """
    if first.project != second.project:
        return "the name of the project differs"
    for kind in KINDS:
        one, other = first.of_kind(kind), second.of_kind(kind)
        for name in sorted({*one, *other}):
            if name not in one or name not in other:
                return f"{kind} {name} is defined in one of two readings only"
            path = different_field(one[name], other[name])
            if path is not None:
                return f"{kind} {name}: {path or 'its content'} differs between two readings"
    if bool(first.incomplete) != bool(second.incomplete):
        return f"in one of two readings only, {(first.incomplete or second.incomplete)[0]}"
    return ""


def different_field(one: Any, other: Any, path: str = "") -> str | None:
    """Return the path of the first field in which two values differ, None if they are equal."""
    if one == other:
        return None
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            inner = f"{path}.{key}" if path else str(key)
            if key not in one or key not in other:
                return inner
            found = different_field(one[key], other[key], inner)
            if found is not None:
                return found
    return path


def service_hash(definitions: Definitions, service_name: str) -> str:
    """
    Return a hash (hex) over all that decides which values a feature service returns.

    These are its features with their types, the views' entities with join keys and their types,
    sources, ttl and functions, also those of the views that views are made from. Two commits that
    differ in tags, descriptions, owners, order or in what the service does not read have equal
    hashes: a model that was trained on one of them was trained on the other. Only hashes of
    definitions from repositories compare: a registry does not know what a function uses.

    :raises KeyError: if there is no such service.
    """
    read = values_read(definitions.objects, definitions.of_kind(FEATURE_SERVICE)[service_name])
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()

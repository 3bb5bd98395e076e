"""What a feature service reads: directly, and through the views that views are made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feature_ops.feast.diff.kinds import DATA_SOURCE, ENTITY, VIEWS, Data, Objects, without_metadata

#: (kind, name) of an object
Key = tuple[str, str]
#: what is read of an object: names of features of a view; of other objects nothing by name
Read = dict[Key, set[str]]

_SOURCES = ("batch_source", "stream_source", "source")
# These decide whether and how values are kept, not which values they are.
_NOT_VALUES = frozenset({"online", "offline", "enable_validation", "disabled", "write_to_online_store"})


def objects_read(objects: Objects, service: Data) -> Read:
    """Return every object that a feature service reads, with the features that it reads of it."""
    read: Read = {}
    for projection in service.get("features", {}).values():
        _read_view(objects, projection, read)
    return read


def _read_view(objects: Objects, projection: Data, read: Read) -> None:
    for kind in VIEWS:
        view = objects.get(kind, {}).get(projection["view"])
        if view is None:
            continue
        wanted = set(projection["features"])
        known = read.setdefault((kind, projection["view"]), set())
        if wanted <= known and known:
            continue  # also ends a circle
        known |= wanted
        for entity in view.get("entities", []):
            read.setdefault((ENTITY, entity), set())
        for source in _sources(view):
            read.setdefault((DATA_SOURCE, source), set())
        for below in _views_below(view):
            _read_view(objects, below, read)


def file_uris_read(objects: Objects, service: Data) -> list[str]:
    """
    Return the URIs of the files, folders and patterns behind what a feature service reads, sorted.

    Sources that are not files, such as tables of a database, have none.
    """
    found: set[str] = set()
    for kind, name in objects_read(objects, service):
        data = objects.get(kind, {}).get(name, {})
        sources = [data] if kind == DATA_SOURCE else _source_data(data)
        for source in sources:
            uri = source.get("file_options", {}).get("uri")
            if uri:
                found.add(uri)
    return sorted(found)


def _source_data(view: Data) -> Iterator[Data]:
    for source in (view[name] for name in _SOURCES if name in view):
        yield source
        # A stream has a source of its history below it.
        yield source.get("batch_source", {})


def _sources(view: Data) -> Iterator[str]:
    for source in _source_data(view):
        if source.get("name"):
            yield source["name"]
    for name, source in view.get("sources", {}).items():
        if "request" in source:
            yield name


def _views_below(view: Data) -> Iterator[dict[str, Any]]:
    for name, source in view.get("sources", {}).items():
        if "view" in source:
            yield {"view": source["view"], "features": source.get("features", [])}
        elif "request" not in source:
            yield {"view": name, "features": []}
    for name, below in view.get("source_views", {}).items():
        # A view that is made from another reads all of it.
        yield {"view": name, "features": sorted(below.get("features", {}))}


def values_read(objects: Objects, service: Data) -> list[Any]:
    """Return all data that decides which values a feature service returns, in a stable order."""
    parts: list[Any] = [["features", _in_order(service.get("features", {}))]]
    for (kind, name), features in sorted(objects_read(objects, service).items()):
        data = without_metadata(objects.get(kind, {}).get(name, {}))
        if kind in VIEWS:
            data = _values_of_view(data, features)
        parts.append([kind, name, data])
    return parts


def _in_order(projections: Data) -> list[Any]:
    return [[name, projections[name]] for name in sorted(projections)]


def _values_of_view(view: dict[str, Any], features: set[str]) -> dict[str, Any]:
    kept = {key: value for key, value in view.items() if key not in _NOT_VALUES}
    kept["features"] = {
        name: without_metadata(feature)
        for name, feature in view.get("features", {}).items()
        if name in features
    }
    for source in _SOURCES:
        if source in kept:
            kept[source] = without_metadata(kept[source])
    if "source_views" in kept:
        # They are in the list of what is read by themselves.
        kept["source_views"] = sorted(kept["source_views"])
    return kept

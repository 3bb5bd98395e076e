"""
What feature-ops does not support of Feast: a commit that needs it is refused when it is classified.

Pure, and without Feast. :func:`unsupported` is the only entry point. The support matrix, in
``docs/feast-objects.md``, lists every kind of object; tests hold it to this module and to Feast itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.kinds import (
    FEATURE_SERVICE,
    FEATURE_VIEW,
    LABEL_VIEW,
    ON_DEMAND_FEATURE_VIEW,
    STREAM_FEATURE_VIEW,
    VIEWS,
    Data,
    Objects,
)

_LATEST = "latest"
_PINS = (
    "Feast reads a pinned version only with `enable_online_feature_view_versioning: true` under `registry` "
    "in feature_store.yaml, and feature-ops loads the newest version only. Remove the pin, or define the "
    "other version as a view with a name of its own"
)


@dataclass(frozen=True)
class TrainedService:
    """
    The feature service that a model is trained on and served with.

    :param entity_columns: columns that rows of training sets and predictions have: join keys and values of
        the request. Empty: not checked.
    :param sources: locations of the histories that are loaded. Empty: not checked.
    """

    name: str
    entity_columns: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def unsupported(definitions: Definitions, trained: TrainedService | None = None) -> list[str]:
    """
    Return why definitions cannot be applied, loaded, trained on or served; nothing if they can.

    :param trained: the service of the deployment's model, which may only read what feature-ops loads.
    """
    objects = definitions.objects
    services = definitions.of_kind(FEATURE_SERVICE)
    reasons = [reason for kind, name, view in definitions.views() for reason in _of_view(kind, name, view)]
    for name, service in sorted(services.items()):
        reasons += _of_service(objects, name, service)
    if trained and trained.name in services:
        reasons += _of_trained(objects, trained, services[trained.name])
    return list(dict.fromkeys(reasons))


def versioned_reads() -> str:
    """Return why a deployment that reads each version of a view by itself cannot apply a change."""
    return (
        "feature_store.yaml sets `enable_online_feature_view_versioning: true`: a changed view would be read "
        "from an empty table until it is loaded. Remove the setting"
    )


def pinned(service: str, reference: str) -> str:
    """Return why a service that reads a pinned version of a view is refused."""
    return f"{FEATURE_SERVICE} {service} pins {reference}: {_PINS}"


@dataclass(frozen=True)
class _Rule:
    """
    What no view of some kinds may be.

    :param reason: without the name of the view.
    """

    kinds: tuple[str, ...]
    applies: Callable[[Data], Any]
    reason: str


def _is_loaded(view: Data) -> bool:
    return bool(view.get("online")) and not view.get("disabled")


_RULES = (
    _Rule(VIEWS, lambda view: view.get("version", _LATEST) != _LATEST, f"pins its version: {_PINS}"),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: view.get("write_to_online_store"),
        "has write_to_online_store=True: feature-ops does not load such a view, and its readers would get "
        "null. Set write_to_online_store=False: the same values are computed when features are read",
    ),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: "substrait_transformation" in view.get("feature_transformation", {}),
        "has mode substrait, which feature-ops does not support. Write a function of mode pandas or python",
    ),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: view.get("singleton"),
        "has singleton=True: Feast 0.67 calls its function with the first row only when features are read, "
        "and with all rows at once in training sets. Set singleton=False and compute lists",
    ),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: view.get("aggregations"),
        "has aggregations: Feast 0.67 applies them to online reads and not to training sets. Aggregate in "
        "the dataset, or in the function of the view",
    ),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: any(source.get("alias") for source in view.get("sources", {}).values()),
        "reads a view under another name (with_name): Feast 0.67 does not find its inputs by that name. "
        "Name the view itself as the source",
    ),
    _Rule(
        (ON_DEMAND_FEATURE_VIEW,),
        lambda view: any("version_tag" in source for source in view.get("sources", {}).values()),
        f"reads a pinned version of a view: {_PINS}",
    ),
    _Rule(
        (FEATURE_VIEW,),
        lambda view: _is_loaded(view) and view.get("feature_transformation"),
        "has a transformation: Feast 0.67 applies it when rows are loaded and not in training sets. Compute "
        "the feature in the dataset, or in an on-demand feature view",
    ),
    _Rule(
        (FEATURE_VIEW,),
        lambda view: _is_loaded(view) and view.get("source_views"),
        "is made from other views: Feast 0.67 joins them when rows are loaded, and training sets read "
        "sink_source instead. Read the other views themselves in the feature service",
    ),
    _Rule(
        (FEATURE_VIEW,),
        lambda view: _is_loaded(view) and view.get("offline"),
        "has offline=True: each load would write the loaded rows into the view's own source again. Set "
        "offline=False",
    ),
)


def _of_view(kind: str, name: str, view: Data) -> Iterator[str]:
    for rule in _RULES:
        if kind in rule.kinds and rule.applies(view):
            yield f"{kind} {name} {rule.reason}"


@dataclass(frozen=True)
class _Reading:
    """
    A view that a service reads, directly or as input of an on-demand view.

    :param alias: the name under which it is read.
    :param join_keys: by the name of a join key of the view, the name under which callers give it.
    """

    kind: str
    name: str
    alias: str
    view: Data
    join_keys: Mapping[str, str]


def _readings(objects: Objects, service: Data) -> list[_Reading]:
    found: list[_Reading] = []
    waiting = [(alias, projection) for alias, projection in service.get("features", {}).items()]
    while waiting:
        alias, projection = waiting.pop()
        name = projection["view"]
        for kind in VIEWS:
            view = objects.get(kind, {}).get(name)
            if view is None:
                continue
            reading = _Reading(kind, name, alias, view, projection.get("join_key_map", {}))
            if reading in found:
                continue  # also ends a circle
            found.append(reading)
            waiting += [
                (source.get("alias") or source["view"], source)
                for source in view.get("sources", {}).values()
                if "view" in source
            ]
    return sorted(found, key=lambda reading: (reading.name, reading.alias))


def _of_service(objects: Objects, name: str, service: Data) -> Iterator[str]:
    title = f"{FEATURE_SERVICE} {name}"
    if service.get("precompute_online"):
        yield (
            f"{title} has precompute_online=True: in Feast 0.67 a read through the service fails if one of "
            "its keys has no vector, such as a new or an unknown key, and each load writes the vectors of "
            "all keys again. Set precompute_online=False"
        )
    for alias, projection in sorted(service.get("features", {}).items()):
        if "version_tag" in projection:
            yield pinned(name, alias)
        if projection.get("repeated"):
            yield (
                f"{title} lists {alias} twice with {', '.join(projection['repeated'])}: Feast refuses every "
                f'read through it. List it once, or give one a name of its own: .with_name("…")'
            )
    readings = _readings(objects, service)
    yield from (
        f"{title} reads {reading.name}, which is disabled: every read through the service fails. Enable the "
        "view, or take it out of the service"
        for reading in readings
        if reading.view.get("disabled")
    )
    yield from _of_names(title, service, readings)


def _of_names(title: str, service: Data, readings: Iterable[_Reading]) -> Iterator[str]:
    """Yield names that stand for two views, or for one with different join keys: Feast uses one for both."""
    known: dict[str, set[tuple[str, tuple[tuple[str, str], ...]]]] = {}
    for reading in readings:
        known.setdefault(reading.alias, set()).add((reading.name, tuple(sorted(reading.join_keys.items()))))
    twice = {alias for alias, meanings in known.items() if len(meanings) > 1}
    twice |= {alias for alias, projection in service.get("features", {}).items() if "ambiguous" in projection}
    for alias in sorted(twice):
        yield (
            f"{title} reads {alias} twice, from two views or with different join keys: Feast uses one for "
            'both. Give each a name of its own: .with_name("…").with_join_key_map({…})'
        )


def _of_trained(objects: Objects, trained: TrainedService, service: Data) -> Iterator[str]:
    title = f"{FEATURE_SERVICE} {trained.name}, which a model is trained on,"
    readings = _readings(objects, service)
    for alias, projection in sorted(service.get("features", {}).items()):
        # A pinned version has a reason of its own.
        renamed = alias != projection["view"] and "version_tag" not in projection
        if renamed or projection.get("join_key_map"):
            yield (
                f"{title} reads {projection['view']} under another name or other join keys: a deployed model "
                "asks for features by the name of their view. Use the view itself"
            )
    for reading in readings:
        reason = _why_not_for_a_model(reading.kind, reading.view, trained.sources)
        if reason:
            yield f"{title} reads {reading.name}: {reason}. Take it out of the service"
    if not trained.entity_columns or not readings:
        return
    needed = dict(_needed(readings))
    unknown = {column: source for column, source in needed.items() if column not in trained.entity_columns}
    known = ", ".join(trained.entity_columns)
    if unknown:
        told = ", ".join(f"{column} ({source})" for column, source in sorted(unknown.items()))
        yield f"{title} needs {told}, but training rows and predictions have {known} only"
    elif not needed:
        yield f"{title} reads no view with an entity: predictions would be the same whatever their {known}"


def _needed(readings: Iterable[_Reading]) -> Iterator[tuple[str, str]]:
    """Yield the columns that a caller gives, each with the view or the request source that needs it."""
    for reading in readings:
        if reading.kind != ON_DEMAND_FEATURE_VIEW:
            for key in reading.view.get("join_keys", {}):
                yield reading.join_keys.get(key, key), reading.name
        for source in reading.view.get("sources", {}).values():
            schema = source.get("request", {}).get("request_data_options", {}).get("schema", {})
            for value in schema:
                yield value, f"request data of {reading.name}"


def _why_not_by_full_name(view: Data) -> str | None:
    # Models name their features by view; Feast drops what a function in plain Python returns then.
    if view.get("mode") != "python":
        return None
    return "it has mode python, and Feast 0.67 leaves it out of reads with full_feature_names=True"


def _why_not_for_a_model(kind: str, view: Data, sources: Iterable[str]) -> str | None:
    """Return why predictions would lack a view's values; None if it is loaded, computed or pushed."""
    if kind == ON_DEMAND_FEATURE_VIEW:
        return _why_not_by_full_name(view)
    if kind == LABEL_VIEW:
        return "labels are pushed by others and not loaded"
    if not view.get("batch_source"):
        return "it has no batch source, so there is no history to train on"
    if not view.get("online"):
        return "it has online=False, so predictions would get null"
    if kind == STREAM_FEATURE_VIEW and any(map(view.get, ("feature_transformation", "aggregations"))):
        return "its values are computed by a stream processor, but training sets read its batch source"
    location = view["batch_source"].get("file_options", {}).get("uri", "")
    known = {source.rstrip("/") for source in sources}
    if known and location.rstrip("/") not in known and not view.get("stream_source"):
        return f"no dataset of the DAG has its source {location or view['batch_source'].get('name')}"
    return None

"""
Feast objects → :class:`~feature_ops.feast.diff.definitions.Definitions`.

Works on protobuf messages only, so that nothing here runs a repository's code: what is described may
come from a registry, or from the process that ran the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feature_ops.feast.diff.canonical import canonical
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from feature_ops.feast.diff.kinds import (
    DATA_SOURCE,
    ENTITY,
    FEATURE_SERVICE,
    FEATURE_VIEW,
    KINDS,
    LABEL_VIEW,
    ON_DEMAND_FEATURE_VIEW,
    PERMISSION,
    PROJECT,
    STREAM_FEATURE_VIEW,
    VIEWS,
)
from feature_ops.feast.diff.messages import DUMMY_ENTITY, message_class, reduce, spec_of

_UNKNOWN_TYPES = ("", "INVALID")


def serialize(kind: str, feast_object: Any) -> SerializedObject:
    """Return a Feast object as the protobuf message of its definition, see :func:`~.messages.reduce`."""
    message = feast_object.to_proto()
    if kind == DATA_SOURCE:
        kind_of_source = type(feast_object)
        message.data_source_class_type = f"{kind_of_source.__module__}.{kind_of_source.__name__}"
    reduce(kind, message)
    return SerializedObject(kind, str(spec_of(message).name), message.SerializeToString(deterministic=True))


def describe(
    project: str,
    protos: Iterable[SerializedObject],
    *,
    functions: Mapping[str, Mapping[str, Any]] | None = None,
    incomplete: Iterable[str] = (),
) -> Definitions:
    """
    Return the definitions that protobuf messages hold.

    :param project: name of Feast's project.
    :param functions: name of a view → what is known about its function beyond its text.
    :param incomplete: why they can't be applied as they are, in words.
    :raises ValueError: if a message is not what its kind says, or if two objects of a kind share a name.
    """
    kept = tuple(protos)
    objects: dict[str, dict[str, Any]] = {}
    for item in kept:
        try:
            message = message_class(item.kind).FromString(item.message)
        except Exception as error:  # protobuf's own error differs between its implementations
            raise ValueError(f"{item.kind} {item.name} is not a message of Feast") from error
        data = canonical(message, (functions or {}).get(item.name))
        named = objects.setdefault(item.kind, {})
        if named.setdefault(item.name, data) != data:
            raise ValueError(f"{item.kind} {item.name} is defined twice, and not alike")
    _say_join_keys(objects)
    return Definitions(project, objects, _each_once(kept), tuple(incomplete))


def describe_registry(registry: Any, project: str) -> Definitions:
    """
    Return what a project's registry holds, without running the code of any function in it.

    :param registry: ``FeatureStore.registry``. Saved datasets and validation references are left out,
        since no repository defines them.
    """
    protos = [
        serialize(kind, item) for kind, items in _registered(registry, project).items() for item in items
    ]
    return describe(project, [item for item in protos if (item.kind, item.name) != (ENTITY, DUMMY_ENTITY)])


def _registered(registry: Any, project: str) -> dict[str, list[Any]]:
    without_code = {"project": project, "skip_udf": True}
    return {
        PROJECT: [item for item in registry.list_projects() if item.name == project],
        DATA_SOURCE: registry.list_data_sources(project=project),
        ENTITY: registry.list_entities(project=project),
        FEATURE_VIEW: registry.list_feature_views(**without_code),
        ON_DEMAND_FEATURE_VIEW: registry.list_on_demand_feature_views(**without_code),
        STREAM_FEATURE_VIEW: registry.list_stream_feature_views(**without_code),
        LABEL_VIEW: registry.list_label_views(project=project),
        FEATURE_SERVICE: registry.list_feature_services(project=project),
        PERMISSION: registry.list_permissions(project=project),
    }


def _each_once(protos: tuple[SerializedObject, ...]) -> tuple[SerializedObject, ...]:
    found = {(item.kind, item.name): item for item in protos}
    return tuple(sorted(found.values(), key=lambda item: (KINDS.index(item.kind), item.name)))


def _say_join_keys(objects: dict[str, dict[str, Any]]) -> None:
    """Give each view ``join_keys``: a declared column, or else what its entity says, is the same."""
    entities = objects.get(ENTITY, {})
    for kind in VIEWS:
        for view in objects.get(kind, {}).values():
            columns = view.pop("entity_columns", {})
            keys = {name: column["type"] for name, column in columns.items()}
            view["entities"] = [name for name in view.get("entities", []) if name != DUMMY_ENTITY]
            for name in view["entities"]:
                entity = entities.get(name, {})
                join_key = entity.get("join_key", name)
                keys.setdefault(join_key, _type_name(entity.get("value_type", "")))
            keys.pop("__dummy_id", None)
            view["join_keys"] = dict(sorted(keys.items()))


def _type_name(value_type: str) -> str:
    if value_type in _UNKNOWN_TYPES:
        return "unknown"
    from feast.types import from_value_type
    from feast.value_type import ValueType

    return str(from_value_type(ValueType[value_type]))

"""A Feast object's protobuf message as canonical plain data: equal exactly if the meaning is equal."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from feature_ops.feast.diff.function_code import normalised_source

# The project is the whole repository's; times and intervals are the registry's.
_LEFT_OUT = frozenset({"project", "meta"})
# Feast declares these two for types that protobuf can't say, and stores them among the tags.
_TYPE_TAGS = ("feast:struct_schema", "feast:nested_inner_type")
_CONNECTION_TAGS = "feast.connection-ref."
_TRACK_METRICS_TAG = "feast:track_metrics"
# Lists in which the order says nothing to any reader: entity keys and permissions are matched as sets.
_UNORDERED = frozenset(
    {
        "entities",
        "types",
        "name_patterns",
        "actions",
        "roles",
        "groups",
        "namespaces",
        "join_keys",
        "features",
    }
)
_FUNCTIONS = ("feast.core.UserDefinedFunction", "feast.core.UserDefinedFunctionV2")


def canonical(message: Any, function: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Return an object's canonical data.

    :param message: Feast's protobuf message of an object, e.g. of a feature view.
    :param function: what the process that loaded the object reports about its function
        (:func:`feature_ops.feast.diff.function_code.describe_function`). It can only add to what the message
        says: the text of the function is always the message's own.
    """
    spec = message.spec if "spec" in message.DESCRIPTOR.fields_by_name else message
    data = _plain(spec)
    data.pop("name", None)
    if "user_defined_function" in data:
        # Deprecated; the same function is in the feature transformation.
        deprecated = data.pop("user_defined_function")
        data.setdefault("feature_transformation", {"user_defined_function": deprecated})
    if function is not None and "user_defined_function" in data.get("feature_transformation", {}):
        known = {key: function[key] for key in ("uses", "code") if key in function}
        data["feature_transformation"]["user_defined_function"].update(known)
    if "version" in data:
        data["version"] = _version(data["version"])
    if "ttl" in data and not data["ttl"]:
        del data["ttl"]
    _separate_entity_columns(data)
    return data


def _version(version: str) -> str:
    from feast.version_utils import normalize_version_string

    return str(normalize_version_string(version))


def _separate_entity_columns(data: dict[str, Any]) -> None:
    # Stream feature views list them among the features, too.
    columns = data.get("entity_columns", {})
    if columns and "features" in data:
        data["features"] = {name: field for name, field in data["features"].items() if name not in columns}


def _plain(message: Any) -> dict[str, Any]:
    """Return what a message says beyond its defaults, without what :data:`_LEFT_OUT` says."""
    data: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name not in _LEFT_OUT:
            data[field.name] = _value(field, value)
    for field in message.DESCRIPTOR.fields:
        if field.enum_type is not None and not field.is_repeated and field.name not in data:
            # Its first value has a name and a meaning.
            data[field.name] = field.enum_type.values_by_number[0].name
    if "tags" in data:
        _take_feasts_tags(data)
    return data


def _take_feasts_tags(data: dict[str, Any]) -> None:
    tags = data["tags"]
    connection = {key: tags.pop(key) for key in list(tags) if key.startswith(_CONNECTION_TAGS)}
    if connection:
        data["connection"] = connection
    if _TRACK_METRICS_TAG in tags:
        data["track_metrics"] = tags.pop(_TRACK_METRICS_TAG)
    if not tags:
        del data["tags"]


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _mapping(field, value)
    if field.is_repeated:
        return _list(field, value)
    return _single(field, value)


def _mapping(field: Any, value: Any) -> dict[str, Any]:
    inner = field.message_type.fields_by_name["value"]
    return {str(key): _single(inner, value[key]) for key in sorted(value)}


def _list(field: Any, value: Iterable[Any]) -> Any:
    kind = field.message_type.full_name if field.message_type else ""
    if kind == "feast.core.FeatureSpecV2":
        return {item.name: _feature(item) for item in sorted(value, key=lambda item: item.name)}
    if kind == "feast.core.FeatureViewProjection":
        return _projections(value)
    if kind == "feast.core.FeatureViewSpec":
        return {item.name: canonical(item) for item in value}
    items = [_single(field, item) for item in value]
    if kind == "feast.core.Aggregation":
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return sorted(items) if field.name in _UNORDERED else items


def _single(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if field.message_type is not None:
        return _message(value)
    if isinstance(value, bytes):
        return _bytes(value)
    return _json(value) if field.name == "schema_json" else value


def _message(value: Any) -> Any:
    kind = value.DESCRIPTOR.full_name
    if kind == "google.protobuf.Duration":
        seconds = value.ToNanoseconds() / 1e9
        return int(seconds) if seconds.is_integer() else seconds
    if kind in _FUNCTIONS:
        return _function(value)
    if kind == "feast.core.SubstraitTransformationV2":
        return {"plan": hashlib.sha256(value.substrait_plan).hexdigest()}
    if kind == "feast.core.FeatureViewProjection":
        return _projection(value)
    if kind == "feast.core.OnDemandSource":
        return _on_demand_source(value)
    if kind == "feast.core.DataSource":
        return _plain(value)
    return _plain(value)


def _function(value: Any) -> dict[str, str]:
    # The name and the serialized code, which holds file names and line numbers, mean nothing.
    said = {
        "source": value.body_text and normalised_source(value.body_text),
        "mode": getattr(value, "mode", ""),
    }
    return {key: text for key, text in said.items() if text}


def _bytes(value: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(value.decode())
    return base64.b64encode(value).decode()


def _json(text: str) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def _feature(spec: Any) -> dict[str, Any]:
    from feast.field import Field

    data = {"type": str(Field.from_proto(spec).dtype), **_plain(spec)}
    for said_otherwise in ("name", "value_type"):
        data.pop(said_otherwise, None)
    tags = {name: value for name, value in data.pop("tags", {}).items() if name not in _TYPE_TAGS}
    return {**data, "tags": tags} if tags else data


def _projections(value: Iterable[Any]) -> dict[str, Any]:
    # By the name under which its features are read; a view that is listed twice is read once.
    found: dict[str, Any] = {}
    for item in value:
        data = _projection(item)
        name = data.pop("alias", None) or data["view"]
        if "version_tag" in data:
            name = f"{name}@v{data['version_tag']}"
        found[name] = _listed_again(found[name], data) if name in found else data
    return dict(sorted(found.items()))


def _listed_again(before: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Merge two projections of one name, and note what Feast cannot tell apart in them."""
    both = {*data["features"], *before["features"]}
    repeated = {*data["features"]} & {*before["features"]} | {*before.get("repeated", ())}
    merged = {**before, "features": sorted(both)}
    if repeated:
        merged["repeated"] = sorted(repeated)
    if any(data.get(part) != before.get(part) for part in ("view", "join_key_map")):
        merged["ambiguous"] = True
    return merged


def _projection(value: Any) -> dict[str, Any]:
    # Types, times and sources in it are copies of the view's, which are compared there.
    data: dict[str, Any] = {
        "view": value.feature_view_name,
        "features": sorted(column.name for column in value.feature_columns),
    }
    if value.feature_view_name_alias not in ("", value.feature_view_name):
        data["alias"] = value.feature_view_name_alias
    renamed = {key: name for key, name in sorted(value.join_key_map.items()) if key != name}
    if renamed:
        data["join_key_map"] = renamed
    if value.HasField("version_tag"):
        data["version_tag"] = value.version_tag
    return data


def _on_demand_source(value: Any) -> dict[str, Any]:
    which = value.WhichOneof("source")
    if which == "feature_view":
        spec = value.feature_view.spec
        return {"view": spec.name, "features": sorted(feature.name for feature in spec.features)}
    if which == "feature_view_projection":
        return _projection(value.feature_view_projection)
    return {"request": _plain(value.request_data_source)}

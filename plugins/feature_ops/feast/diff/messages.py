"""
Check serialized Feast objects before anything acts on them.

The process that ran a commit's code wrote the messages, so nothing that it says about them counts. The name,
the project and the content of each object are derived again from its message. A message is refused if it
contradicts its label, or holds parts that the change classification does not compare.

Parses messages only. Nothing here runs code of a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from feature_ops.feast.diff.definitions import SerializedObject
from feature_ops.feast.diff.kinds import (
    DATA_SOURCE,
    ENTITY,
    FEATURE_VIEW,
    KINDS,
    ON_DEMAND_FEATURE_VIEW,
    SAVED_DATASET,
    STREAM_FEATURE_VIEW,
    VALIDATION_REFERENCE,
    VIEWS,
)

#: Kinds of objects that a feature repository can define.
DEFINED = tuple(kind for kind in KINDS if kind not in (SAVED_DATASET, VALIDATION_REFERENCE))
# An entity that Feast adds to views without entities.
DUMMY_ENTITY = "__dummy"
# Feast keeps the input schema of an on-demand view as a source with this prefix.
INPUT_SCHEMA = "__input_schema__"
_FUNCTIONS = ("feast.core.UserDefinedFunction", "feast.core.UserDefinedFunctionV2")
_SUBSTRAIT = "feast.core.SubstraitTransformationV2"
_NAMED_LISTS = ("feast.core.FeatureSpecV2", "feast.core.FeatureViewSpec")


class InconsistentMessageError(ValueError):
    """A message is not what its label says, or holds more than a definition."""


def message_class(kind: str) -> Any:
    """Return the class of Feast's protobuf message for a kind of object."""
    from feast.protos.feast.core import (
        DataSource_pb2,
        Entity_pb2,
        FeatureService_pb2,
        FeatureView_pb2,
        LabelView_pb2,
        OnDemandFeatureView_pb2,
        Permission_pb2,
        Project_pb2,
        SavedDataset_pb2,
        StreamFeatureView_pb2,
        ValidationProfile_pb2,
    )

    classes = (
        *(Project_pb2.Project, DataSource_pb2.DataSource, Entity_pb2.Entity),
        *(FeatureView_pb2.FeatureView, OnDemandFeatureView_pb2.OnDemandFeatureView),
        *(StreamFeatureView_pb2.StreamFeatureView, LabelView_pb2.LabelView),
        *(FeatureService_pb2.FeatureService, Permission_pb2.Permission),
        *(SavedDataset_pb2.SavedDataset, ValidationProfile_pb2.ValidationReference),
    )
    return dict(zip(KINDS, classes, strict=True))[kind]


def spec_of(message: Any) -> Any:
    """Return the part of a message that its author wrote."""
    return message.spec if "spec" in message.DESCRIPTOR.fields_by_name else message


def reduce(kind: str, message: Any) -> None:
    """
    Remove from a message what is not part of a definition.

    These are what only a registry knows (``meta``), and serialized functions: Feast makes functions from
    their text, and unpickles the serialized form only where the text fails.
    """
    for part in list(_messages(message)):
        if "meta" in part.DESCRIPTOR.fields_by_name:
            part.ClearField("meta")
        if part.DESCRIPTOR.full_name in _FUNCTIONS:
            part.ClearField("body")
        if part.DESCRIPTOR.full_name == _SUBSTRAIT:
            part.ClearField("ibis_function")
    if kind == STREAM_FEATURE_VIEW:
        # Feast lists the entities' columns among a stream view's features, too, and reads them back as such.
        columns = {column.name for column in message.spec.entity_columns}
        features = [feature for feature in message.spec.features if feature.name not in columns]
        del message.spec.features[:]
        message.spec.features.extend(features)


def reduced(item: SerializedObject) -> SerializedObject:
    """Return an object with its message reduced, see :func:`reduce`."""
    message = message_class(item.kind).FromString(item.message)
    reduce(item.kind, message)
    return replace(item, message=message.SerializeToString(deterministic=True))


def inner_sources(kind: str, content: bytes) -> Iterator[Any]:
    """Yield the messages of all data sources within an object's message."""
    message = message_class(kind).FromString(content)
    for part in _messages(message):
        if part is not message and part.DESCRIPTOR.full_name == "feast.core.DataSource":
            yield part


def check_messages(project: str, items: Iterable[SerializedObject]) -> None:
    """
    Check the messages of all objects of a feature repository.

    :param project: name of the Feast project.
    :raises InconsistentMessageError: names the object and the reason.
    """
    parsed: dict[str, dict[str, Any]] = {}
    views: dict[str, tuple[str, str]] = {}
    for item in items:
        message = _checked(project, item.kind, item.name, item.message)
        parsed.setdefault(item.kind, {})[item.name] = message
        if item.kind in VIEWS:
            other = views.setdefault(item.name.lower(), (item.kind, item.name))
            if other != (item.kind, item.name):
                raise InconsistentMessageError(f"{item.kind} {item.name} and {' '.join(other)} share a name")
    if set(parsed.get("project", {})) != {project}:
        raise InconsistentMessageError(f"the project object is not that of {project}")
    _check_copies(parsed)


def _checked(project: str, kind: str, name: str, content: bytes) -> Any:
    if kind not in DEFINED:
        raise InconsistentMessageError(f"{kind} {name} is not of a kind that a feature repository defines")
    message = _parsed(kind, name, content)
    inside = spec_of(message).name
    if inside != name or not name:
        raise InconsistentMessageError(f"{kind} {name} has the name {inside!r} inside its message")
    if (kind, name) == (ENTITY, DUMMY_ENTITY) or (kind == DATA_SOURCE and name.startswith(INPUT_SCHEMA)):
        raise InconsistentMessageError(f"{kind} {name}: Feast reserves this name, choose another one")
    for part in _messages(message):
        _check_part(project, f"{kind} {name}", part)
    _check_spec(kind, name, spec_of(message))
    return message


def _check_spec(kind: str, name: str, spec: Any) -> None:
    if kind == FEATURE_VIEW:
        keys = {column.name for column in spec.entity_columns}
        if any(feature.name in keys for feature in spec.features):
            raise InconsistentMessageError(f"{kind} {name} lists a join key among its features")
    if kind == ON_DEMAND_FEATURE_VIEW and spec.HasField("user_defined_function"):
        raise InconsistentMessageError(f"{kind} {name} holds a function in a deprecated field")
    if kind == STREAM_FEATURE_VIEW and spec.HasField("feature_transformation"):
        texts = (spec.feature_transformation.user_defined_function, spec.user_defined_function)
        if texts[0].body_text != texts[1].body_text:
            raise InconsistentMessageError(f"{kind} {name} holds two different functions")


def _parsed(kind: str, name: str, content: bytes) -> Any:
    try:
        message = message_class(kind).FromString(content)
    except Exception as error:  # protobuf's own error differs between its implementations
        raise InconsistentMessageError(f"{kind} {name} is not a message of Feast") from error
    plain = message_class(kind).FromString(content)
    plain.DiscardUnknownFields()
    reduce(kind, plain)
    if plain.SerializeToString(deterministic=True) != content:
        raise InconsistentMessageError(f"{kind} {name} holds more than a definition, or not in Feast's form")
    return message


def _check_part(project: str, label: str, part: Any) -> None:
    fields = part.DESCRIPTOR.fields_by_name
    if "project" in fields and fields["project"].message_type is None and part.project not in ("", project):
        raise InconsistentMessageError(f"{label} names the project {part.project!r}, not {project!r}")
    if part.DESCRIPTOR.full_name == "feast.core.OnDemandSource" and part.HasField("feature_view"):
        raise InconsistentMessageError(f"{label} holds a copy of a whole view; only projections are read")
    for field, value in part.ListFields():
        if field.is_repeated and field.message_type and field.message_type.full_name in _NAMED_LISTS:
            names = [item.name for item in value]
            if len(set(names)) != len(names):
                raise InconsistentMessageError(f"{label} lists a name twice in {field.name}")


def _messages(message: Any) -> Iterator[Any]:
    """Yield a message and every message in it, those in maps included."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in value:
                    yield from _messages(value[key])
        elif field.is_repeated:
            for part in value:
                yield from _messages(part)
        else:
            yield from _messages(value)


# --- Copies: Feast repeats sources within views, and features and sources of views within services. Changes
# are --- classified once, at the object itself, so that a copy must say the same.


def _check_copies(parsed: Mapping[str, Mapping[str, Any]]) -> None:
    sources = parsed.get(DATA_SOURCE, {})
    views = {name: spec_of(view) for kind in VIEWS for name, view in parsed.get(kind, {}).items()}
    for kind, named in parsed.items():
        for name, message in named.items():
            for part in _messages(spec_of(message)):
                if part is message:
                    continue
                label = f"{kind} {name}"
                if part.DESCRIPTOR.full_name == "feast.core.DataSource":
                    _check_source(label, part, sources, required=kind in VIEWS)
                elif part.DESCRIPTOR.full_name == "feast.core.FeatureViewProjection":
                    _check_projection(label, part, views)


def _check_source(label: str, copy: Any, sources: Mapping[str, Any], required: bool) -> None:
    if copy.name not in sources:
        # Values that callers send are part of the view that reads them.
        if required and copy.WhichOneof("options") != "request_data_options":
            raise InconsistentMessageError(f"{label} reads the source {copy.name!r}, which is not defined")
    elif _source_content(copy) != _source_content(sources[copy.name]):
        raise InconsistentMessageError(f"{label} holds another source {copy.name!r} than the one defined")


def _source_content(source: Any) -> bytes:
    plain = type(source).FromString(source.SerializeToString())
    for part in _messages(plain):
        if part.DESCRIPTOR.full_name == "feast.core.DataSource" and part.type != part.CUSTOM_SOURCE:
            # The type says the same; not all copies have it.
            part.ClearField("data_source_class_type")
    content: bytes = plain.SerializeToString(deterministic=True)
    return content


def _check_projection(label: str, projection: Any, views: Mapping[str, Any]) -> None:
    view = views.get(projection.feature_view_name)
    if view is None:
        raise InconsistentMessageError(
            f"{label} reads the view {projection.feature_view_name!r}, which is not defined"
        )
    features = {feature.name: feature for feature in view.features}
    for column in projection.feature_columns:
        if column.name in features and features[column.name].value_type != column.value_type:
            raise InconsistentMessageError(
                f"{label} reads {projection.feature_view_name}:{column.name} as another type than the view's"
            )
    if not projection.HasField("batch_source"):
        return
    source = _batch_source(view)
    if source is None or _source_content(projection.batch_source) != _source_content(source):
        raise InconsistentMessageError(f"{label} reads {projection.feature_view_name} from another source")
    known = {"", source.timestamp_field, source.created_timestamp_column}
    if not {projection.timestamp_field, projection.created_timestamp_column} <= known:
        raise InconsistentMessageError(f"{label} reads {projection.feature_view_name} by another timestamp")


def _batch_source(view: Any) -> Any:
    """Return the source of a view's history, None if it has none."""
    fields = view.DESCRIPTOR.fields_by_name
    if "batch_source" in fields and view.HasField("batch_source"):
        return view.batch_source
    if "source" in fields and view.HasField("source"):
        return view.source.batch_source if view.source.HasField("batch_source") else view.source
    return None

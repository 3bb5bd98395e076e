"""Every field of every Feast object is changed alone, and its verdict is the one decided upon here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from feature_ops.feast.diff import kinds
from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from feature_ops.feast.diff.describe import describe, message_class
from feature_ops.feast.diff.verdict import Verdict

NONE, METADATA, ADDITIVE, BREAKING = Verdict
#: verdict → paths of fields, separated by spaces
Table = dict[Verdict, str]


def _below(path: str, verdicts: Table) -> Table:
    return {
        verdict: " ".join(f"{path}.{field}" for field in fields.split())
        for verdict, fields in verdicts.items()
    }


def _table(*parts: Table) -> dict[str, Verdict]:
    return {field: verdict for part in parts for verdict, fields in part.items() for field in fields.split()}


_FEATURE = {
    METADATA: "tags description",
    BREAKING: "name value_type vector_index vector_search_metric vector_length",
}
# Of a key's column only name and type reach anybody.
_COLUMN = {
    NONE: "tags description vector_index vector_search_metric vector_length",
    BREAKING: "name value_type",
}
# The function's name and its serialized form, which holds file names and lines, do no work.
_FUNCTION = {NONE: "name body", BREAKING: "body_text"}
_TRANSFORMATION = _below(
    "feature_transformation",
    {
        NONE: "user_defined_function.name user_defined_function.body substrait_transformation.ibis_function",
        BREAKING: "user_defined_function.body_text user_defined_function.mode "
        "substrait_transformation.substrait_plan",
    },
)
_AGGREGATION = {BREAKING: "column function time_window slide_interval name"}
_EVERY_VIEW = (
    {NONE: "project", METADATA: "tags description owner", BREAKING: "name entities"},
    _below("features", _FEATURE),
    _below("entity_columns", _COLUMN),
)
_READ_FROM_SOURCES = {
    METADATA: "org",
    ADDITIVE: "ttl online enable_validation",
    BREAKING: "batch_source stream_source version disabled mode",
}
# Which view, which features of it, and under which names; the rest are copies of what the view says.
_PROJECTION = {
    NONE: "feature_columns.value_type feature_columns.tags feature_columns.description "
    "feature_columns.vector_index feature_columns.vector_search_metric feature_columns.vector_length "
    "timestamp_field date_partition_column created_timestamp_column batch_source stream_source view_type",
    BREAKING: "feature_view_name feature_view_name_alias feature_columns.name join_key_map version_tag",
}
_TABLE_FORMATS = {
    BREAKING: "iceberg_format.catalog iceberg_format.namespace iceberg_format.properties "
    "delta_format.checkpoint_location delta_format.properties "
    "hudi_format.table_type hudi_format.record_key hudi_format.precombine_field hudi_format.properties "
    "lance_format.catalog lance_format.namespace lance_format.version lance_format.tag "
    "lance_format.properties",
}
_FILE = {
    BREAKING: "file_format.parquet_format file_format.delta_format.checkpoint_location "
    "file_format.delta_format.properties uri s3_endpoint_override",
}
_STREAM_FORMATS = {
    BREAKING: "avro_format.schema_json proto_format.class_path json_format.schema_json",
}
_SPARK = (
    {BREAKING: "table query path file_format date_partition_column_format"},
    _below("table_format", _TABLE_FORMATS),
)


def _stores(suffix: str) -> tuple[Table, ...]:
    """Where values are, for each kind of store that sources and saved datasets share."""
    return (
        _below(f"file_{suffix}", _FILE),
        _below(f"bigquery_{suffix}", {BREAKING: "table query"}),
        _below(f"redshift_{suffix}", {BREAKING: "table query schema database"}),
        _below(f"snowflake_{suffix}", {BREAKING: "table query schema database"}),
        _below(f"trino_{suffix}", {BREAKING: "table query"}),
        _below(f"athena_{suffix}", {BREAKING: "table query database data_source"}),
        *(_below(f"spark_{suffix}", part) for part in _SPARK),
        _below(f"custom_{suffix}", {BREAKING: "configuration"}),
    )


#: kind → path of a field → what it means if it alone changes: "a" → "b", 1 → 2, off → on, one entry more.
EXPECTED: dict[str, dict[str, Verdict]] = {
    kinds.PROJECT: _table({METADATA: "description tags owner", BREAKING: "name"}),
    kinds.ENTITY: _table(
        {NONE: "project", METADATA: "description tags owner", BREAKING: "name value_type join_key"}
    ),
    kinds.DATA_SOURCE: _table(
        {
            # The times at which it was made and at which it has data.
            NONE: "project meta.earliestEventTimestamp meta.latestEventTimestamp meta.created_timestamp "
            "meta.last_updated_timestamp",
            METADATA: "description tags owner",
            BREAKING: "name type field_mapping timestamp_field date_partition_column "
            "created_timestamp_column timestamp_field_type data_source_class_type batch_source push_options",
        },
        *_stores("options"),
        _below("kafka_options", {BREAKING: "kafka_bootstrap_servers topic watermark_delay_threshold"}),
        _below("kafka_options.message_format", _STREAM_FORMATS),
        _below("kinesis_options", {BREAKING: "region stream_name"}),
        _below("kinesis_options.record_format", _STREAM_FORMATS),
        _below("request_data_options", {BREAKING: "deprecated_schema"}),
        _below("request_data_options.schema", _FEATURE),
    ),
    kinds.FEATURE_VIEW: _table(
        *_EVERY_VIEW,
        _READ_FROM_SOURCES,
        _TRANSFORMATION,
        {ADDITIVE: "offline", BREAKING: "source_views"},
    ),
    kinds.STREAM_FEATURE_VIEW: _table(
        *_EVERY_VIEW,
        _READ_FROM_SOURCES,
        _TRANSFORMATION,
        _below("user_defined_function", _FUNCTION),
        _below("aggregations", _AGGREGATION),
        {BREAKING: "timestamp_field enable_tiling tiling_hop_size"},
    ),
    kinds.ON_DEMAND_FEATURE_VIEW: _table(
        *_EVERY_VIEW,
        _TRANSFORMATION,
        _below("user_defined_function", _FUNCTION),
        _below("aggregations", _AGGREGATION),
        _below("sources", {BREAKING: "feature_view request_data_source"}),
        _below("sources.feature_view_projection", _PROJECTION),
        {METADATA: "org", BREAKING: "mode write_to_online_store singleton version disabled"},
    ),
    kinds.LABEL_VIEW: _table(
        *_EVERY_VIEW,
        {
            # Feast reads it no more.
            NONE: "retain_history",
            # A word to the people who label.
            METADATA: "reference_feature_view",
            ADDITIVE: "ttl online",
            BREAKING: "source labeler_field conflict_policy",
        },
    ),
    kinds.FEATURE_SERVICE: _table(
        {
            NONE: "project",
            METADATA: "tags description owner",
            BREAKING: "name precompute_online",
        },
        _below("features", _PROJECTION),
        # What is written down of each answer is never a part of it.
        _below(
            "logging_config",
            {
                ADDITIVE: "sample_rate file_destination.path file_destination.s3_endpoint_override "
                "file_destination.partition_by bigquery_destination.table_ref "
                "redshift_destination.table_name snowflake_destination.table_name "
                "custom_destination.kind custom_destination.config athena_destination.table_name "
                "couchbase_columnar_destination.database couchbase_columnar_destination.scope "
                "couchbase_columnar_destination.collection",
            },
        ),
    ),
    kinds.PERMISSION: _table(
        {
            NONE: "project policy.name policy.project",
            METADATA: "tags",
            # More is allowed, to more, on more objects.
            ADDITIVE: "types name_patterns actions policy.role_based_policy.roles "
            "policy.group_based_policy.groups policy.namespace_based_policy.namespaces "
            "policy.combined_group_namespace_policy.groups policy.combined_group_namespace_policy.namespaces",
            BREAKING: "name required_tags",
        }
    ),
    # No repository defines the last two; what Feast itself writes is compared as it is.
    kinds.SAVED_DATASET: _table(
        {
            NONE: "project",
            METADATA: "tags description",
            BREAKING: "name features join_keys full_feature_names feature_service_name namespace collection "
            "columns.name columns.type columns.description columns.nullable",
        },
        *(_below("storage", part) for part in _stores("storage")),
    ),
    kinds.VALIDATION_REFERENCE: _table(
        {
            NONE: "project",
            METADATA: "description tags",
            BREAKING: "name reference_dataset_name ge_profiler.profiler.body ge_profile.expectation_suite",
        }
    ),
}

# Messages that are compared by themselves where they are defined; here they are changed as one.
_WHOLE = frozenset(
    {
        "feast.core.DataSource",
        "feast.core.FeatureViewSpec",
        "feast.core.FeatureView",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
    }
)
_SAMPLES: dict[str, tuple[Any, Any]] = {
    "version": ("v1", "v2"),
    "body_text": ("def f(x):\n    return 1", "def f(x):\n    return 2"),
    "schema_json": ('{"a": 1}', '{"a": 2}'),
}
_BY_TYPE: dict[str, tuple[Any, Any]] = {"str": ("a", "b"), "bytes": (b"a", b"b"), "float": (0.5, 1.5)}

Path = tuple[str, ...]


def _paths(descriptor: Any, before: Path = ()) -> Iterator[Path]:
    for field in descriptor.fields:
        path = (*before, field.name)
        if _is_leaf(field):
            yield path
        else:
            yield from _paths(_inner(field.message_type), path)


def _is_leaf(field: Any) -> bool:
    message = field.message_type
    if message is None or (message.GetOptions().map_entry and not _map_of_messages(message)):
        return True
    return _inner(message).full_name in _WHOLE or not _inner(message).fields


def _map_of_messages(message: Any) -> bool:
    return message.fields_by_name["value"].message_type is not None


def _inner(message: Any) -> Any:
    return message.fields_by_name["value"].message_type if message.GetOptions().map_entry else message


def _spec(kind: str, message: Any) -> Any:
    return message.spec if "spec" in message.DESCRIPTOR.fields_by_name else message


def _set(message: Any, path: Path, second: bool) -> None:
    """Give the field at the path its first or its second sample."""
    field = message.DESCRIPTOR.fields_by_name[path[0]]
    value = getattr(message, path[0])
    if len(path) > 1:
        part = _part(field, value)
        _set(part, path[1:], second)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(field, value, second)
    elif field.message_type is not None:
        _set_message(field, value, second)
    elif field.is_repeated:
        value.extend(_samples(field)[: 2 if second else 1])
    else:
        setattr(message, path[0], _samples(field)[1 if second else 0])


def _part(field: Any, value: Any) -> Any:
    if field.message_type.GetOptions().map_entry:
        return value["a"]
    if not field.is_repeated:
        value.SetInParent()
        return value
    if not value:
        value.add()
    return value[0]


def _set_map(field: Any, value: Any, second: bool) -> None:
    samples = _samples(field.message_type.fields_by_name["value"])
    value["a"] = samples[1 if second else 0]


def _set_message(field: Any, value: Any, second: bool) -> None:
    kind = field.message_type.full_name
    if field.is_repeated:
        value.add(name="a")
        if second:
            value.add(name="b")
    elif kind == "google.protobuf.Duration":
        value.FromSeconds(7200 if second else 3600)
    elif kind == "google.protobuf.Timestamp":
        value.FromSeconds(2 if second else 1)
    elif "name" in field.message_type.fields_by_name:
        value.name = "b" if second else "a"
    elif "spec" in field.message_type.fields_by_name:
        value.spec.name = "b" if second else "a"
    elif second:
        value.SetInParent()


def _samples(field: Any) -> tuple[Any, Any]:
    if field.name in _SAMPLES and field.cpp_type == field.CPPTYPE_STRING:
        return _SAMPLES[field.name]
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        return numbers[-2], numbers[-1]
    default = field.default_value if not field.is_repeated else None
    if isinstance(default, bool):
        return False, True
    if isinstance(default, int) or field.cpp_type in (1, 2, 3, 4):
        return 1, 2
    return _BY_TYPE["bytes" if field.type == 12 else "float" if field.cpp_type in (5, 6) else "str"]


def _definitions(kind: str, path: Path, second: bool) -> Definitions:
    message = message_class(kind)()
    spec = _spec(kind, message)
    if path != ("name",):
        spec.name = "it"
    _prepare(kind, spec, path)
    _set(spec, path, second)
    item = SerializedObject(kind, spec.name, message.SerializeToString())
    return describe(spec.name if kind == kinds.PROJECT else "p", [item])


def _prepare(kind: str, spec: Any, path: Path) -> None:
    """Give the field's neighbours what it needs to mean anything."""
    columns = kind in kinds.VIEWS and path[0] in ("features", "entity_columns")
    if columns and path[-1] != "value_type":
        getattr(spec, path[0]).add(name="a", value_type=2)
    if kind == kinds.FEATURE_SERVICE and path[0] == "features":
        spec.features.add(feature_view_name="a")


def _fields(kind: str) -> list[str]:
    spec = _spec(kind, message_class(kind)())
    return [".".join(path) for path in _paths(spec.DESCRIPTOR)]


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_field_is_decided_upon(kind: str) -> None:
    there, decided = set(_fields(kind)), set(EXPECTED[kind])
    assert not there - decided, (
        f"Feast's {kind} has fields that nobody decided upon: {sorted(there - decided)}. Say in "
        "feature_ops/feast/diff/field_rules.py what a change of them means (without a rule it is breaking, "
        "with a sentence in the field's name), then add them here with that verdict."
    )
    assert not decided - there, f"Feast's {kind} has these fields no more: {sorted(decided - there)}"


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, table in EXPECTED.items() for field in table]
)
def test_a_field_that_changes_alone_has_its_verdict(kind: str, field: str) -> None:
    path = tuple(field.split("."))
    diff = compare(_definitions(kind, path, second=False), _definitions(kind, path, second=True))
    assert diff.verdict == EXPECTED[kind][field], diff.summary()


def test_every_kind_of_object_is_compared() -> None:
    from feast.infra.registry.registry import FEAST_OBJECT_TYPES
    from feast.protos.feast.core.Registry_pb2 import Registry

    known = {kind.value for kind in FEAST_OBJECT_TYPES} | {kinds.SAVED_DATASET, kinds.VALIDATION_REFERENCE}
    assert known == set(kinds.KINDS) == set(EXPECTED), (
        "Feast has other kinds of objects: add them to kinds.py"
    )
    listed = {field.message_type.full_name for field in Registry.DESCRIPTOR.fields if field.is_repeated}
    compared = {message_class(kind).DESCRIPTOR.full_name for kind in kinds.KINDS}
    # The first is older than feature views; the second was replaced by projects.
    assert listed - compared == {"feast.core.FeatureTable", "feast.core.ProjectMetadata"}

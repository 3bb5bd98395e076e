"""A view that its dataset's declaration shows to be impossible to load is refused before it is applied."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from feature_ops.datasets.column import Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.loadable import ReadColumns, conversion_problems, is_computed, refuse_unloadable

TRACKS = Dataset(
    name="tracks",
    keys=("id",),
    columns=(
        Column(name="id", type=ColumnType.STRING),
        Column(name="artist", type=ColumnType.STRING, nullable=True),
        Column(name="plays", type=ColumnType.INT64),
        Column(name="tags", type=ColumnType.LIST, of=ColumnType.STRING),
    ),
)
COMMIT = "c0ffee1234" * 4


def view(keys: dict[str, str] | None = None, features: dict[str, str] | None = None, **more: Any) -> Any:
    """Return the canonical data of a view of the tracks."""
    source = {
        "file_options": {"uri": TRACKS.uri},
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "ingested_at",
    }
    return {
        "join_keys": {"id": "String"} if keys is None else keys,
        "features": {name: {"type": kind} for name, kind in (features or {"plays": "Int64"}).items()},
        "batch_source": {**source, **more.pop("source", {})},
        "online": True,
        **more,
    }


def defining(**views: Any) -> Definitions:
    return Definitions("radio", {"feature view": views})


NOTHING = defining()
REFUSED = {
    "a nullable join key": (
        view({"id": "String", "artist": "String"}),
        "by: the join key artist is read from the column artist of tracks, which is declared nullable",
    ),
    "a nullable join key under another name": (
        view({"performer": "String"}, source={"field_mapping": {"artist": "performer"}}),
        "by: the join key performer is read from the column artist of tracks, which is declared nullable",
    ),
    "a feature that the source lacks": (
        view(features={"playz": "Int64"}),
        "by: the feature playz is read from the column playz, which tracks does not have (the nearest is pla",
    ),
    "a join key that the source lacks": (
        view({"track_number": "Int64"}),
        "by: the join key track_number is read from the column track_number, which tracks does not have",
    ),
    "a mapping from a column that the source lacks": (
        view(features={"plays": "Int64"}, source={"field_mapping": {"listens": "plays"}}),
        "by: the feature plays is read from the column listens, which tracks does not have",
    ),
    "text as a number": (
        view(features={"artist": "Int64"}),
        "by: the feature artist is of Int64, but the column artist of tracks is of string",
    ),
    "a list as a scalar, which Feast stores as null": (
        view(features={"tags": "String"}),
        "by: the feature tags is of String, but the column tags of tracks is of list<",
    ),
    "a scalar as a list": (
        view(features={"plays": "Array(Int64)"}),
        "by: the feature plays is of Array(Int64)",
    ),
    "a list of other elements": (
        view(features={"tags": "Array(Int64)"}),
        "the feature tags is of Array(Int64)",
    ),
    "a join key of a type that Feast cannot write": (
        view({"plays": "Float32"}),
        "by: the join key plays is of Float32, but Feast's join keys are of",
    ),
    "a timestamp that the source lacks": (
        view(source={"timestamp_field": "happened"}),
        "by: its source's timestamp is read from the column happened, which tracks does not have",
    ),
    "a timestamp that is none": (
        view(source={"timestamp_field": "plays"}),
        "by: its source's timestamp is the column plays of tracks, which is of int64",
    ),
}
ACCEPTED = {
    "columns as declared": view(features={"plays": "Int64", "artist": "String", "tags": "Array(String)"}),
    "a nullable key that is not loaded": view({"artist": "String"}, online=False),
    "a nullable key of a disabled view": view({"artist": "String"}, disabled=True),
    "another source": view({"nobody": "Int64"}, source={"file_options": {"uri": "s3://elsewhere/"}}),
    "a view whose columns are computed": view(
        {"artist": "String"}, feature_transformation={"mode": "pandas"}
    ),
    "a mapped name": view({"track": "String"}, source={"field_mapping": {"id": "track"}}),
    "types that Feast adds later": view(features={"plays": "Quaternion", "tags": "Array(Quaternion)"}),
    "a key whose type is not known": view({"id": "unknown"}),
    "no keys": view({}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_commit_is_refused_with_view_column_and_remedy(case: str) -> None:
    data, words = REFUSED[case]
    with pytest.raises(BadInputError) as refusal:
        refuse_unloadable(defining(by=data), NOTHING, [TRACKS], COMMIT)
    line = str(refusal.value)
    assert line.startswith("commit c0ffee1234 cannot be loaded: by: ")
    assert words in line
    assert line.endswith("Nothing was applied")


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_can_be_loaded_is_accepted(case: str) -> None:
    assert refuse_unloadable(defining(by=ACCEPTED[case]), NOTHING, [TRACKS], COMMIT) == []


def test_a_problem_that_is_applied_already_does_not_hold_up_a_commit() -> None:
    bad = view({"artist": "String"})
    good = copy.deepcopy(ACCEPTED["columns as declared"])
    (problem,) = refuse_unloadable(defining(by=bad, good=good), defining(by=bad), [TRACKS], COMMIT)
    assert problem.startswith("by: the join key artist")
    with pytest.raises(BadInputError, match="also: the join key artist") as refusal:
        refuse_unloadable(defining(by=bad, also=bad), defining(by=bad), [TRACKS], COMMIT)
    assert "by: the" not in str(refusal.value)


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLES: dict[ColumnType, Any] = {
    ColumnType.STRING: "text",
    ColumnType.BOOL: True,
    ColumnType.INT32: 7,
    ColumnType.INT64: 7,
    ColumnType.FLOAT: 0.5,
    ColumnType.DOUBLE: 0.5,
    ColumnType.TIMESTAMP: MOMENT,
    ColumnType.BYTES: b"\xff",
    ColumnType.STRUCT: {"a": 1},
}
PRIMITIVES = (
    *("String", "Bytes", "PdfBytes", "ImageBytes", "Bool", "Int32", "Int64", "Float32", "Float64"),
    *("UnixTimestamp", "ZonedTimestamp"),
)
ELEMENTS = ("String", "Bytes", "Bool", "Int32", "Int64", "Float32", "Float64", "UnixTimestamp")


def is_stored(column: Column, sample: Any, feast_type: Any) -> bool:
    """Whether Feast itself makes a value of a sample, and not an error or null."""
    from feast.utils import _columns_to_proto_values

    table = pa.table({"x": pa.array([sample], column.arrow_type())}).to_batches()[0]
    columns = [("x", feast_type.to_value_type())]
    try:
        (value,) = _columns_to_proto_values(table, columns, allow_missing=False)["x"]
    except Exception:
        return False
    return value.WhichOneof("val") is not None


def is_accepted(column: Column, feast_type: Any) -> bool:
    dataset = TRACKS.model_copy(update={"columns": (*TRACKS.columns, column)})
    read = ReadColumns("by", {}, {"x": ("x", str(feast_type))}, ())
    return not list(conversion_problems(read, dataset))


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_scalar_is_refused_exactly_where_feast_itself_cannot_store_it(kind: ColumnType) -> None:
    from feast import types

    fields = {"a": ColumnType.INT64} if kind is ColumnType.STRUCT else None
    column = Column(name="x", type=kind, fields=fields)
    by_name = {str(one): one for one in types.PrimitiveFeastType}
    for name in PRIMITIVES:
        stored = is_stored(column, SAMPLES[kind], by_name[name])
        assert is_accepted(column, by_name[name]) == stored, f"{kind} as {name}"


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if kind is not ColumnType.STRUCT])
def test_a_list_is_refused_exactly_where_feast_itself_cannot_store_it(kind: ColumnType) -> None:
    from feast import types

    column = Column(name="x", type=ColumnType.LIST, of=kind)
    by_name = {str(one): one for one in types.PrimitiveFeastType}
    for name in ELEMENTS:
        array = types.Array(by_name[name])
        assert is_accepted(column, array) == is_stored(column, [SAMPLES[kind]], array), f"{kind} as {array}"


def test_a_view_of_the_registry_is_read_like_its_definition() -> None:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Int64, String

    from feature_ops.feast.diff.describe import describe, serialize
    from feature_ops.feast.diff.kinds import ENTITY, FEATURE_VIEW

    entity = Entity(name="track", join_keys=["track"], value_type=ValueType.STRING)
    source = FileSource(
        name="tracks_source",
        path=TRACKS.uri,
        timestamp_field="at",
        created_timestamp_column="ingested_at",
        field_mapping={"id": "track", "event_timestamp": "at"},
    )
    made = FeatureView(
        name="by",
        entities=[entity],
        schema=[Field(name="track", dtype=String), Field(name="plays", dtype=Int64)],
        source=source,
    )
    described = describe("radio", [serialize(ENTITY, entity), serialize(FEATURE_VIEW, made)])
    data = described.of_kind(FEATURE_VIEW)["by"]
    assert ReadColumns.of_definition("by", data) == ReadColumns.of_view(made)
    assert ReadColumns.of_view(made).keys == {"track": ("id", "String")}
    assert ReadColumns.of_view(made).times == ("event_timestamp", "ingested_at")
    assert not is_computed(data)
    assert not is_computed(made)
    assert refuse_unloadable(described, NOTHING, [TRACKS], COMMIT) == []

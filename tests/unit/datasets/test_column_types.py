"""Every type that a column may have: cast exactly, compared with the history, kept as it came."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.datasets.normalize import Normalized
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    from conftest import Garden

Normalize = Callable[..., Normalized]
NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
INSTANT = pa.timestamp("us", "UTC")
MAP = pa.map_(pa.string(), pa.string())

COLUMNS = (
    Column(name="driver", type=ColumnType.INT32),
    Column(name="trips", type=ColumnType.INT32, nullable=True, ge=0, le=100),
    Column(name="rate", type=ColumnType.FLOAT, nullable=True, ge=0),
    Column(name="hired", type=ColumnType.TIMESTAMP, nullable=True),
    Column(name="photo", type=ColumnType.BYTES, nullable=True),
    Column(name="config", type=ColumnType.JSON, nullable=True),
    Column(name="tags", type=ColumnType.LIST, of=ColumnType.STRING, nullable=True),
    Column(name="vector", type=ColumnType.LIST, of=ColumnType.FLOAT, nullable=True, ge=-1, le=1),
    Column(name="shifts", type=ColumnType.LIST, of=ColumnType.TIMESTAMP, nullable=True),
    Column(
        name="profile",
        type=ColumnType.STRUCT,
        fields={"name": ColumnType.STRING, "age": ColumnType.INT64, "score": ColumnType.DOUBLE},
        nullable=True,
    ),
    Column(name="metadata", type=ColumnType.MAP, nullable=True),
)
GOOD: dict[str, Any] = {
    "trips": pa.array([3], pa.int64()),
    "rate": pa.array([0.5], pa.float64()),
    "hired": pa.array([NOON], pa.timestamp("ns", "Asia/Seoul")),
    "photo": pa.array([b"\x00\xff"], pa.large_binary()),
    "config": pa.array(['{"zones": ["north"],  "max": 1}']),
    "tags": pa.array([["a", "b"]], pa.large_list(pa.string())),
    "vector": pa.array([[0.25, -0.5]], pa.list_(pa.float64())),
    "shifts": pa.array([[NOON]], pa.list_(pa.timestamp("ns"))),
    "profile": pa.array([{"score": 1, "age": 36, "name": "Ada"}]),
    "metadata": pa.array([[("b", "2"), ("a", None)]], MAP),
}
KEPT = {
    "trips": 3,
    "rate": 0.5,
    "hired": NOON,
    "photo": b"\x00\xff",
    "config": '{"zones": ["north"],  "max": 1}',
    "tags": ["a", "b"],
    "vector": [0.25, -0.5],
    "shifts": [NOON],
    "profile": {"name": "Ada", "age": 36, "score": 1.0},
    "metadata": '{"a":null,"b":"2"}',
}
# Another value of each, as a source may bring it.
OTHER: dict[str, Any] = {
    "trips": pa.array([4], pa.int8()),
    "rate": pa.array([1], pa.int64()),
    "hired": pa.array([NOON.date()], pa.date32()),
    "photo": pa.array(["text"]),
    "config": pa.array(["[]"]),
    "tags": pa.array([[]], pa.list_(pa.string())),
    "vector": pa.array([[0.25]], pa.list_(pa.float32())),
    "shifts": pa.array([[NOON, NOON]], pa.list_(INSTANT)),
    "profile": pa.array([{"name": "Ada", "age": 37, "score": None}]),
    "metadata": pa.array([{"a": "1"}]),
}


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(name="drivers", keys=("driver",), feature_service="drivers", columns=COLUMNS)


def source(day: int = 1, **columns: Any) -> dict[str, Any]:
    time = pa.array([datetime(2026, 1, day, tzinfo=UTC)], INSTANT)
    return {"driver": pa.array([7], pa.int64()), "event_timestamp": time, **columns}


def wrong(result: Normalized) -> str:
    return "; ".join(str(violation) for violation in result.violations)


def test_a_row_of_every_type_is_kept_exactly(garden: Garden) -> None:
    assert garden.bring(source(**GOOD)).new == 1
    (row,) = garden.rows()
    assert {name: row[name] for name in KEPT} == KEPT


@pytest.mark.parametrize("column", list(GOOD))
def test_equal_values_are_known_and_others_are_news(garden: Garden, column: str) -> None:
    null = pa.nulls(1, GOOD[column].type)
    for day, value, is_news in (
        (1, null, True),
        (2, null, False),
        (3, GOOD[column], True),
        (4, GOOD[column], False),
        (5, OTHER[column], True),
        (6, OTHER[column], False),
        (7, null, True),
    ):
        assert garden.bring(source(day, **{column: value})).new == is_news, day


def test_the_order_of_a_maps_entries_is_no_news(garden: Garden) -> None:
    garden.bring(source(metadata=pa.array([[("a", "1"), ("b", "2")]], MAP)))
    for same in (
        pa.array([[("b", "2"), ("a", "1")]], MAP),
        pa.array([{"b": "2", "a": "1"}]),
        pa.array(['{ "b": "2", "a": "1" }']),
    ):
        assert garden.bring(source(2, metadata=same)).new == 0


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("trips", pa.array([2**31]), "'trips' has values that do not fit into int32 unchanged .*2147483648"),
        ("trips", pa.array([101]), "'trips' must be at most 100 in 1 row .row 1: 101"),
        ("rate", pa.array([0.1]), "'rate' has values that do not fit into float unchanged .*0.1"),
        ("rate", pa.array([float("nan")]), "'rate' must be a finite number"),
        ("rate", pa.array([-1.0]), "'rate' must be at least 0"),
        ("hired", pa.array([1], pa.timestamp("ns")), r"'hired' has values .* timestamp\[us, tz=UTC\]"),
        ("hired", pa.array(["today"]), "'hired' has type string, but timestamp"),
        ("config", pa.array(["{'a': 1}"]), "'config' has values that do not fit into JSON text unchanged"),
        ("config", pa.array(["NaN"]), "'config' has values that do not fit into JSON text"),
        ("config", pa.array(["[" * 100_000]), "'config' has values that do not fit into JSON text"),
        ("tags", pa.array([["a", None]]), "'tags' must have no null in it in 1 row .row 1: ..a., None"),
        ("tags", pa.array(["a"]), "'tags' has type string, but list<item: string> is needed"),
        ("vector", pa.array([[0.0, 2.0]]), "'vector' must be at most 1 in 1 row .row 1: .0.0, 2.0"),
        ("vector", pa.array([[float("inf")]]), "'vector' must be a finite number"),
        ("vector", pa.array([[0.1]]), "'vector' has values that do not fit into list<item: float> unchanged"),
        ("profile", pa.array([{"name": "Ada"}]), "'profile' has type struct<name: string>, but struct<name"),
        (
            "profile",
            pa.array([{"name": "Ada", "age": 1.5, "score": 0.0}]),
            "'profile' has values that do not fit into struct<.*row 1: .'name': 'Ada', 'age': 1.5",
        ),
        (
            "profile",
            pa.array([{"name": "Ada", "age": 1, "score": float("nan")}]),
            "'profile' field 'score' must be a finite number",
        ),
        (
            "metadata",
            pa.array([[("a", "1"), ("a", "2")]], MAP),
            "'metadata' has values .* map<string, string>",
        ),
        (
            "metadata",
            pa.array(['{"a": 1}']),
            "'metadata' has values that do not fit into map<string, string>",
        ),
        ("metadata", pa.array([{"a": 1}]), "'metadata' has type struct<a: int64>, but map<string, string>"),
    ],
)
def test_what_does_not_fit_is_refused_by_column_rule_and_row(
    normalized: Normalize, column: str, value: pa.Array, message: str
) -> None:
    assert re.search(message, wrong(normalized(source(**{column: value}))))


def test_lists_of_one_length_are_lists(garden: Garden) -> None:
    garden.bring(source(vector=pa.array([[0.25, -0.5]], pa.list_(pa.float64(), 2))))
    assert garden.rows()[0]["vector"] == [0.25, -0.5]


def test_one_rows_list_may_not_fill_the_memory(normalized: Normalize) -> None:
    # Some hundred bytes in the file.
    endless = pa.ListArray.from_arrays([0, 12_000_000], pa.array(np.zeros(12_000_000, np.float32)))
    with pytest.raises(BadInputError, match="'vector' has too many long values: those of more than 16,384"):
        normalized(source(vector=endless))


@pytest.mark.parametrize(
    "encoding", ["PLAIN", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]
)
def test_a_text_that_fills_a_list_counts_however_it_is_packed(
    normalized: Normalize, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr("feature_ops.datasets.pieces._LONG_VALUES", 1024**2)
    packed = {"use_dictionary": True} if "DICTIONARY" in encoding else {}
    options = packed or {"use_dictionary": False, "column_encoding": {"tags.list.element": encoding}}
    few, many = (source(tags=pa.array([["x" * 1024] * count])) for count in (8, 2_000))
    assert not normalized(few, **options).violations
    with pytest.raises(BadInputError, match="'tags' has too many long values: those of more than 4,096"):
        normalized(many, **options)


def test_long_lists_are_limited_together_and_embeddings_are_not_long(normalized: Normalize) -> None:
    def rows(count: int, length: int) -> pa.Table:
        numbers = pa.array(np.full(count * length, 0.5, np.float32))
        vectors = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * length, numbers)
        times = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * count, INSTANT)
        return pa.table({"driver": range(count), "vector": vectors, "event_timestamp": times})

    assert not normalized(rows(8_000, 1_536), row_group_size=1_000).violations
    with pytest.raises(BadInputError, match="'vector' has too many long values: those of more than 16,384"):
        normalized(rows(2_000, 5_000), row_group_size=500)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"type": "list"}, "a list needs of, such as of=ColumnType.DOUBLE"),
        ({"type": "list", "of": "json"}, "a list can't hold json, only bool, bytes, double"),
        ({"type": "struct"}, "a struct needs fields, such as"),
        ({"type": "struct", "fields": {"a": "list"}}, "a struct can't hold list, only bool, double"),
        ({"type": "string", "of": "string"}, "only a list has of, and it is of string"),
        ({"type": "string", "ge": 1}, "ge and le are bounds of numbers, and it is of string"),
        ({"type": "timestamp", "le": 1}, "ge and le are bounds of numbers, and it is of timestamp"),
        ({"type": "list", "of": "string", "le": 1}, "ge and le are bounds of numbers, and it is of list"),
        ({"type": "int32", "ge": 2, "le": 1}, "no value is at least 2 and at most 1"),
    ],
)
def test_a_declaration_that_means_nothing_says_so(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"column x: {message}"):
        Column(name="x", **declared)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([Column(name="x", type=ColumnType.DOUBLE)], "the key x is of double, but Feast's keys are bytes"),
        (
            [Column(name="x", type=ColumnType.INT64), Column(name="Ingested_At", type=ColumnType.STRING)],
            "ingested_at is declared twice; the two times are no columns of it",
        ),
    ],
)
def test_a_dataset_that_cannot_work_says_so(columns: list[Column], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset(name="d", keys=("x",), feature_service="s", columns=columns)

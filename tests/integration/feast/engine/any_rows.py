"""Views of all kinds of features and keys, and rows for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureView, Field, FileSource
from feast.feature_view import DUMMY_ENTITY_FIELD
from feast.types import (
    Array,
    Bool,
    Bytes,
    Float32,
    Float64,
    Int32,
    Int64,
    String,
    UnixTimestamp,
)
from feast.value_type import ValueType
from hypothesis import strategies as st

from tests.unit.feast.engine.columns import one_nan

TIMES = pa.timestamp("us", "UTC")
_SINGLES = st.floats(width=32)
FEATURES: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (String, pa.string(), st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9)),
    "raw": (Bytes, pa.binary(), st.binary(min_size=1, max_size=9)),
    "small": (Int32, pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "large": (Int64, pa.int64(), st.integers(-(2**53), 2**53)),
    "single": (Float32, pa.float32(), _SINGLES),
    "double": (Float64, pa.float64(), st.floats()),
    "flag": (Bool, pa.bool_(), st.booleans()),
    "moment": (UnixTimestamp, TIMES, st.integers(-(10**15), 10**16)),
    "numbers": (Array(Int64), pa.list_(pa.int64()), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
    "singles": (
        Array(Float32),
        pa.list_(pa.float32()),
        st.lists(st.floats(width=32).map(one_nan), max_size=3),
    ),
    "words": (Array(String), pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=3), max_size=3)),
    "moments": (Array(UnixTimestamp), pa.list_(TIMES), st.lists(st.integers(-(10**15), 10**15), max_size=3)),
}
KEYS: dict[str, tuple[Any, ValueType, pa.DataType, st.SearchStrategy[Any]]] = {
    "song": (String, ValueType.STRING, pa.string(), st.sampled_from(["🎵", "", "a", "é"])),
    "part": (Int64, ValueType.INT64, pa.int64(), st.integers(-2, 2)),
}
AFTER_1970 = st.integers(1, 4 * 10**15)


def view_of(keys: list[str], features: list[str]) -> FeatureView:
    view = FeatureView(
        name="tracks",
        entities=[Entity(name=key, join_keys=[key], value_type=KEYS[key][1]) for key in keys],
        schema=[
            *(Field(name=key, dtype=KEYS[key][0]) for key in keys),
            *(Field(name=name, dtype=FEATURES[name][0]) for name in features),
        ],
        ttl=timedelta(0),
        source=FileSource(
            path="unused.parquet", timestamp_field="happened", created_timestamp_column="noted"
        ),
    )
    # As applying the definitions leaves it.
    view.entity_columns = view.entity_columns or [DUMMY_ENTITY_FIELD]
    return view


@st.composite
def rows_of(draw: st.DrawFn, keys: list[str], features: list[str]) -> pa.RecordBatch:
    found = draw(
        st.lists(st.tuples(*(KEYS[key][3] for key in keys)), min_size=1, max_size=5, unique=True)
        if keys
        else st.just([()])
    )
    count = len(found)

    def column(kind: pa.DataType, values: st.SearchStrategy[Any]) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=count, max_size=count)), kind)

    columns = {key: pa.array([row[place] for row in found], KEYS[key][2]) for place, key in enumerate(keys)}
    if not keys:
        columns["__dummy_id"] = pa.array([""])
    for name in features:
        _, kind, values = FEATURES[name]
        columns[name] = column(kind, st.none() | values)
    columns["happened"] = column(TIMES, AFTER_1970)
    columns["noted"] = column(TIMES, AFTER_1970)
    return pa.record_batch(columns)

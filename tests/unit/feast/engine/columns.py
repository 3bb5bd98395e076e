"""Columns of every type that the encoder writes, with the values that go wrong most easily."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

_TEXT = st.one_of(
    st.sampled_from(["", "🎵", "nan", "é\u0000b", "x" * 127, "x" * 128, "y" * 16_384]),
    st.text(max_size=20),
)
_BYTES = st.one_of(st.sampled_from([b"", b"\0", b"\xff" * 128]), st.binary(max_size=20))


def one_nan(number: float) -> float:
    """Return the one NaN for any: others become nulls in pandas, and so do not get to Feast's encoder."""
    return math.nan if math.isnan(number) else number


_FLOATS = st.one_of(
    st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1e300, 1e-46, 5e-324, 0.1]),
    st.floats().map(one_nan),
)
_FLOATS32 = st.floats(width=32).map(one_nan)
_YEARS_1_TO_9999 = (-62_135_596_800, 253_402_300_799)
# NumPy itself overflows within the first second that 64 bits of nanoseconds can hold.
_NANOSECONDS = (-(2**63) + 10**9, 2**63 - 1)


def _integers(kind: pa.DataType, bits: int, signed: bool) -> tuple[pa.DataType, st.SearchStrategy[int]]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return kind, st.one_of(st.sampled_from([low, high, 0, 127 & high, 128 & high]), st.integers(low, high))


def _timestamps(unit: str, zone: str | None) -> tuple[pa.DataType, st.SearchStrategy[int]]:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    low, high = (max(_YEARS_1_TO_9999[0] * scale, _NANOSECONDS[0]), _YEARS_1_TO_9999[1] * scale)
    high = min(high, _NANOSECONDS[1])
    return pa.timestamp(unit, zone), st.one_of(
        st.sampled_from([0, -1, 1, scale, -scale, low, high]), st.integers(low, high)
    )


SIGNED_32 = [
    _integers(pa.int8(), 8, True),
    _integers(pa.int16(), 16, True),
    _integers(pa.int32(), 32, True),
    _integers(pa.uint8(), 8, False),
    _integers(pa.uint16(), 16, False),
]
SIGNED_64 = [*SIGNED_32, _integers(pa.int64(), 64, True), _integers(pa.uint32(), 32, False)]
TIMES = [_timestamps(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Seoul")]
TEXTS = [(pa.string(), _TEXT), (pa.large_string(), _TEXT), (pa.dictionary(pa.int32(), pa.string()), _TEXT)]
BYTE_STRINGS = [
    (pa.binary(), _BYTES),
    (pa.large_binary(), _BYTES),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
]

# Arrow types and values that can stand for each of Feast's types.
SCALARS: dict[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "BYTES": BYTE_STRINGS,
    "PDF_BYTES": BYTE_STRINGS[:1],
    "IMAGE_BYTES": BYTE_STRINGS[:1],
    "STRING": TEXTS,
    "INT32": SIGNED_32,
    "INT64": SIGNED_64,
    "DOUBLE": [(pa.float64(), _FLOATS), SIGNED_64[-2]],
    "FLOAT": [(pa.float32(), _FLOATS32), (pa.float64(), _FLOATS), *SIGNED_64],
    "BOOL": [(pa.bool_(), st.booleans())],
    "UNIX_TIMESTAMP": TIMES,
    "UUID": TEXTS[:1],
    "TIME_UUID": TEXTS[:1],
    "DECIMAL": TEXTS[:1],
}
KEYS = {
    "BYTES": BYTE_STRINGS,
    "STRING": TEXTS,
    "INT32": SIGNED_32,
    "INT64": SIGNED_64,
    "UNIX_TIMESTAMP": TIMES,
}
LISTS: dict[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "BYTES_LIST": [(pa.binary(), st.none() | _BYTES)],
    "STRING_LIST": [(pa.string(), st.none() | _TEXT)],
    "INT32_LIST": SIGNED_32,
    "INT64_LIST": SIGNED_64,
    "DOUBLE_LIST": [(pa.float64(), st.none() | _FLOATS), (pa.float32(), st.none() | _FLOATS32)],
    "FLOAT_LIST": [(pa.float64(), st.none() | _FLOATS), (pa.float32(), st.none() | _FLOATS32)],
    "BOOL_LIST": [(pa.bool_(), st.none() | st.booleans())],
    "UNIX_TIMESTAMP_LIST": [(kind, st.none() | values) for kind, values in TIMES if kind.unit != "ns"],
    "UUID_LIST": [(pa.string(), st.none() | _TEXT)],
    "TIME_UUID_LIST": [(pa.string(), st.none() | _TEXT)],
    "DECIMAL_LIST": [(pa.string(), st.none() | _TEXT)],
}


@st.composite
def columns_of(draw: st.DrawFn, choices: list[tuple[pa.DataType, Any]], rows: int | None = None) -> pa.Array:
    """Draw a column; half of the time it is a part of a longer one, as Arrow's slices are."""
    kind, values = draw(st.sampled_from(choices))
    size = {"min_size": rows, "max_size": rows} if rows is not None else {"min_size": 0, "max_size": 12}
    drawn = draw(st.lists(values, **size))
    if draw(st.booleans()):
        return array_of([*drawn[:1], *drawn], kind)[len(drawn[:1]) :]
    return array_of(drawn, kind)


def beside_bytes(column: pa.Array) -> pa.Array:
    """Return byte strings with one more that is not empty: Feast takes a batch of empty ones for nulls."""
    return pa.concat_arrays([column, pa.array([b"xyz"], column.type)])


def array_of(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


# A first example has to wait for Feast's import.
examples = settings(deadline=None, max_examples=60)

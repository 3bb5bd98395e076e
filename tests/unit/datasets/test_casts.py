"""Every cast is exact or refused: compared with Python's own conversions, for any value of any type."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_ops.datasets.casting import exact_cast, is_castable
from feature_ops.datasets.column import Column, ColumnType

EPOCH = datetime(1970, 1, 1)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
DECIMALS = {pa.decimal32: 9, pa.decimal64: 18, pa.decimal128: 38, pa.decimal256: 76}
few = settings(max_examples=150, deadline=None)


def cast(array: pa.Array, kind: ColumnType) -> Any:
    """Return the value after the cast, or None if it is refused."""
    column = Column(name="x", type=kind)
    assert is_castable(array.type, column)
    result, offending = exact_cast(array, column, 5)
    if result is None:
        assert offending == [0]
        return None
    assert result.type == column.arrow_type()
    return result.cast(pa.int64())[0].as_py() if kind is ColumnType.TIMESTAMP else result[0].as_py()


def as_float32(value: float) -> float:
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


@st.composite
def decimals(draw: st.DrawFn) -> tuple[Decimal, pa.Array]:
    """Return a decimal and an array of it, of any width, precision and scale."""
    make, most = draw(st.sampled_from(list(DECIMALS.items())))
    precision = draw(st.integers(1, most))
    scale = draw(st.integers(-20, precision))
    digits = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    type_ = make(precision, scale)
    stored = digits.to_bytes(type_.bit_width // 8, "little", signed=True)
    array = pa.Array.from_buffers(type_, 1, [None, pa.py_buffer(stored)])
    with localcontext() as context:
        context.prec = 200
        return Decimal(digits).scaleb(-scale), array


@few
@given(decimals())
def test_a_decimal_becomes_the_nearest_double(case: tuple[Decimal, pa.Array]) -> None:
    value, array = case
    found = cast(array, ColumnType.DOUBLE)
    if found is None:  # a whole number whose digits no double has
        assert array.type.scale <= 0
        assert Decimal(repr(float(value))) != value
    else:
        assert found == float(value)


@few
@given(decimals())
def test_a_decimal_becomes_the_nearest_float_or_is_out_of_range(case: tuple[Decimal, pa.Array]) -> None:
    value, array = case
    found = cast(array, ColumnType.FLOAT)
    if found is None:
        assert array.type.scale <= 0 or not 1e-45 < abs(value) < 3.4e38
        return
    neighbours = [as_float32(found * (1 + sign * 2**-23)) for sign in (-1, 1)]
    with localcontext() as context:
        context.prec = 200
        off = abs(Decimal(found) - value)
        assert all(off <= abs(Decimal(other) - value) for other in neighbours if abs(other) != float("inf"))


@pytest.mark.parametrize("text", ["0.009", "0.1", "-1.005", "123456.789", "0.000001", "1e-9"])
@pytest.mark.parametrize("scale", [9, 15, 25, 30])
def test_a_decimal_of_any_scale_keeps_the_number_that_it_spells(text: str, scale: int) -> None:
    assert cast(pa.array([Decimal(text)], pa.decimal128(38, scale)), ColumnType.DOUBLE) == float(text)


@few
@given(decimals(), st.sampled_from([ColumnType.INT32, ColumnType.INT64]))
def test_a_decimal_becomes_the_same_integer_or_is_refused(
    case: tuple[Decimal, pa.Array], kind: ColumnType
) -> None:
    value, array = case
    bits = 31 if kind is ColumnType.INT32 else 63
    fits = value == value.to_integral_value() and -(2**bits) <= value < 2**bits
    assert cast(array, kind) == (int(value) if fits else None)


@st.composite
def integers(draw: st.DrawFn) -> tuple[int, pa.DataType]:
    type_ = draw(st.sampled_from(INTEGERS))
    bits = type_.bit_width - pa.types.is_signed_integer(type_)
    least = -(2**bits) if pa.types.is_signed_integer(type_) else 0
    near = st.sampled_from([2**power + more for power in range(bits) for more in (-1, 0, 1)] + [2**bits - 1])
    value = draw(st.integers(least, 2**bits - 1) | near)
    return min(max(value, least), 2**bits - 1), type_


@few
@given(integers(), st.sampled_from([ColumnType.INT32, ColumnType.INT64, ColumnType.DOUBLE, ColumnType.FLOAT]))
def test_an_integer_is_kept_or_refused(case: tuple[int, pa.DataType], kind: ColumnType) -> None:
    value, type_ = case
    if kind in (ColumnType.DOUBLE, ColumnType.FLOAT):
        same: float = float(value) if kind is ColumnType.DOUBLE else as_float32(float(value))
        expected: float | None = same if int(same) == value and int(float(value)) == value else None
    else:
        bits = 31 if kind is ColumnType.INT32 else 63
        expected = value if -(2**bits) <= value < 2**bits else None
    assert cast(pa.array([value], type_), kind) == expected


@few
@given(st.floats() | st.integers(-(2**64), 2**64).map(float), st.sampled_from([pa.float32(), pa.float64()]))
def test_a_float_becomes_the_same_integer_or_is_refused(value: float, type_: pa.DataType) -> None:
    value = pa.array([value], type_)[0].as_py()
    for kind, bits in ((ColumnType.INT32, 31), (ColumnType.INT64, 63)):
        fits = value == value and abs(value) != float("inf") and int(value) == value
        fits = fits and -(2**bits) <= value < 2**bits
        assert cast(pa.array([value], type_), kind) == (int(value) if fits else None)


@few
@given(st.floats(allow_nan=False) | st.floats(allow_nan=False, width=32))
def test_a_double_becomes_the_same_float_or_is_refused(value: float) -> None:
    same = pa.array([value]).cast(pa.float32())[0].as_py() == value
    assert cast(pa.array([value]), ColumnType.FLOAT) == (value if same else None)
    assert cast(pa.array([value]), ColumnType.DOUBLE) == value


@few
@given(st.floats(width=16, allow_nan=False))
def test_a_float_of_16_bits_is_kept(value: float) -> None:
    array = pa.array([value], pa.float64()).cast(pa.float16())
    assert cast(array, ColumnType.DOUBLE) == value
    assert cast(array, ColumnType.FLOAT) == value


@few
@given(
    st.integers(-(2**63), 2**63 - 1)
    | st.datetimes().map(lambda time: (time - EPOCH) // timedelta(seconds=1)),
    st.sampled_from(list(UNITS)),
    st.sampled_from([None, "UTC", "Asia/Seoul", "America/St_Johns", "-03:30", "No/Such_Zone"]),
)
def test_a_time_is_the_same_instant_or_is_refused(value: int, unit: str, zone: str | None) -> None:
    in_microseconds, rest = divmod(value * 10**6, UNITS[unit])
    fits = not rest and -(2**63) <= in_microseconds < 2**63
    array = pa.array([value], pa.int64()).cast(pa.timestamp(unit, zone))
    assert cast(array, ColumnType.TIMESTAMP) == (in_microseconds if fits else None)


@few
@given(st.dates() | st.sampled_from([date(1, 1, 1), date(9999, 12, 31)]))
def test_a_date_is_its_first_instant_in_utc(day: date) -> None:
    instant = (datetime(day.year, day.month, day.day) - EPOCH) // timedelta(microseconds=1)
    for type_ in (pa.date32(), pa.date64()):
        assert cast(pa.array([day], type_), ColumnType.TIMESTAMP) == instant


def test_a_date_beyond_all_times_is_refused() -> None:
    assert cast(pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), ColumnType.TIMESTAMP) is None


@few
@given(st.text() | st.decimals(allow_nan=False).map(str) | st.integers().map(lambda n: f"{n:+07d}"))
def test_a_text_is_kept_also_if_it_spells_a_number(text: str) -> None:
    for type_ in (pa.string(), pa.large_string(), pa.string_view()):
        assert cast(pa.array([text], type_), ColumnType.STRING) == text
        assert cast(pa.array([text], type_), ColumnType.BYTES) == text.encode()


@pytest.mark.parametrize("text", ["1", "1.0", "1e400", "-0", "12345678901234567890.10"])
def test_a_number_in_json_is_kept_as_it_is_spelled(text: str) -> None:
    assert cast(pa.array([text]), ColumnType.JSON) == text


@given(st.binary())
@few
def test_bytes_are_a_text_if_they_are_utf8(value: bytes) -> None:
    try:
        text: str | None = value.decode()
    except UnicodeDecodeError:
        text = None
    for type_ in (pa.binary(), pa.large_binary(), pa.binary_view()):
        assert cast(pa.array([value], type_), ColumnType.STRING) == text
        assert cast(pa.array([value], type_), ColumnType.BYTES) == value


@pytest.mark.parametrize(
    "kind", [kind for kind in ColumnType if kind not in (ColumnType.LIST, ColumnType.STRUCT)]
)
def test_a_column_of_nulls_fits_everywhere(kind: ColumnType) -> None:
    result, _ = exact_cast(pa.nulls(3), Column(name="x", type=kind), 5)
    assert result is not None
    assert result.null_count == 3


VIEWS: list[Callable[[pa.Array], pa.Array]] = [
    lambda array: array,
    lambda array: array.cast(pa.large_string()),
    lambda array: array.cast(pa.string_view()),
    lambda array: array.cast(pa.binary()),
    lambda array: array.cast(pa.binary_view()),
    *(
        lambda array, index=index: pa.DictionaryArray.from_arrays(
            pa.array([0, None, 1], index), pa.array([array[0].as_py(), array[2].as_py()])
        )
        for index in INTEGERS
    ),
]


@pytest.mark.parametrize("view", VIEWS)
def test_texts_in_any_form_are_texts(view: Callable[[pa.Array], pa.Array]) -> None:
    texts = view(pa.array(["a", None, "é"]))
    result, _ = exact_cast(texts, Column(name="x", type=ColumnType.STRING), 5)
    assert result is not None
    assert result.to_pylist() == ["a", None, "é"]


def test_a_dictionary_as_large_as_its_indices_allow_is_measured() -> None:
    from feature_ops.datasets.value_sizes import value_sizes

    array = pa.DictionaryArray.from_arrays(
        pa.array([*range(128), None], pa.int8()), [f"{number:03}" for number in range(128)]
    )
    assert value_sizes(array).tolist() == [7] * 128 + [4]


LISTS = [
    pa.list_(pa.float64()),
    pa.large_list(pa.float64()),
    pa.list_view(pa.float64()),
    pa.large_list_view(pa.float64()),
    pa.list_(pa.decimal128(9, 3)),
    pa.list_(pa.dictionary(pa.int8(), pa.float64())),
]


@pytest.mark.parametrize("type_", LISTS, ids=str)
def test_lists_in_any_form_are_lists(type_: pa.DataType) -> None:
    column = Column(name="x", type=ColumnType.LIST, of=ColumnType.DOUBLE)
    value = [[Decimal("0.5"), Decimal(1)], None, []] if "decimal" in str(type_) else [[0.5, 1.0], None, []]
    assert is_castable(type_, column)
    for array in (pa.array(value, type_), pa.array([*value, *value], type_).slice(3)):
        result, _ = exact_cast(array, column, 5)
        assert result is not None
        assert result.to_pylist() == [[0.5, 1.0], None, []]


def test_structs_with_dictionaries_views_and_extensions_are_structs() -> None:
    column = Column(
        name="x",
        type=ColumnType.STRUCT,
        fields={"a": ColumnType.STRING, "b": ColumnType.INT64, "c": ColumnType.STRING},
    )
    fields = [
        pa.array(["x", "y"]).dictionary_encode(),
        pa.array([1, None], pa.uint8()),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", "2"])),
    ]
    array = pa.StructArray.from_arrays(fields, ["a", "b", "c"])
    assert is_castable(array.type, column)
    result, _ = exact_cast(array, column, 5)
    assert result is not None
    assert result.to_pylist() == [{"a": "x", "b": 1, "c": "1"}, {"a": "y", "b": None, "c": "2"}]

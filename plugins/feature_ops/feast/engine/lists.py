"""
Columns of lists as the bytes of Feast's ``Value`` messages.

Source of the format: as in :mod:`feature_ops.feast.engine.values`. A list is a message of its own inside
``Value``: numbers packed into one field, strings and byte strings a field each. A list that is null is the
empty message. What is null *inside* a list is stored as its type's zero, but as NaN among floats, and as
the smallest 64-bit number among timestamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.event_times import to_microseconds
from feature_ops.feast.engine.values import NULL_TIMESTAMP, is_bytes, is_null, is_text, to_binary, to_int32
from feature_ops.feast.engine.wire import (
    EMPTY,
    LENGTH_DELIMITED,
    Ints,
    fixed_width,
    from_offsets,
    length_delimited,
    offsets_of,
    tag,
    to_ints,
    varints,
)

_ELEMENTS = tag(1, LENGTH_DELIMITED)
_PER_SECOND = 1_000_000
# Beyond these, a datetime's seconds are no exact quotient of floats any more.
_EXACT_MICROSECONDS = 2**53
_FIRST, _LAST = -62_135_596_800 * _PER_SECOND, 253_402_300_800 * _PER_SECOND


@dataclass(frozen=True)
class List:
    """
    How one of Feast's list types is written.

    :param field: the number of its field in ``Value``.
    :param accepts: whether elements of an Arrow type can be written as this type.
    :param elements: writes elements one after the other.
    :param packed: whether the elements share one field.
    """

    field: int
    accepts: Callable[[pa.DataType], bool]
    elements: Callable[[pa.Array], pa.LargeBinaryArray]
    packed: bool = True


def accepts_lists(kind: pa.DataType, feast_type: str) -> bool:
    """Whether a column of the Arrow type can be written as the list type."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list) and LISTS[feast_type].accepts(kind.value_type)


def encode_lists(column: pa.Array, feast_type: str) -> pa.LargeBinaryArray:
    """
    Return a column of lists as serialized ``Value`` messages.

    :param feast_type: name of Feast's value type, such as ``INT64_LIST``.
    :raises pyarrow.ArrowInvalid: an integer does not fit into the type.
    :raises ValueError: a timestamp is not in the years 1 to 9999.
    """
    kind = LISTS[feast_type]
    elements = kind.elements(pc.list_flatten(column))
    ends = np.zeros(len(column) + 1, np.int64)
    np.cumsum(to_ints(pc.list_value_length(column)), out=ends[1:])
    payload = from_offsets(offsets_of(elements)[ends], elements.buffers()[2])
    if kind.packed:
        filled = pc.binary_length(payload).to_numpy() > 0
        before = varints(np.diff(offsets_of(payload)), _ELEMENTS, filled)
        payload = pc.binary_join_element_wise(before, payload, EMPTY)
    written = length_delimited(payload, tag(kind.field, LENGTH_DELIMITED))
    return pc.if_else(column.is_valid(), written, EMPTY)


def _integers(column: pa.Array) -> pa.LargeBinaryArray:
    return varints(to_ints(column))


def _integers32(column: pa.Array) -> pa.LargeBinaryArray:
    return varints(to_ints(to_int32(column)))


def _floats(column: pa.Array) -> pa.LargeBinaryArray:
    return fixed_width(_with_nan(column, pa.float32()))


def _doubles(column: pa.Array) -> pa.LargeBinaryArray:
    return fixed_width(_with_nan(column, pa.float64()))


def _with_nan(column: pa.Array, kind: pa.DataType) -> np.ndarray:
    numbers = column.cast(kind, safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    # There are many of them, with either sign; Feast's rows pass pandas, which makes one of all.
    return np.asarray(np.where(np.isnan(numbers), numbers.dtype.type(np.nan), numbers))


def _booleans(column: pa.Array) -> pa.LargeBinaryArray:
    return fixed_width(column.cast(pa.uint8()).fill_null(0).to_numpy(zero_copy_only=False))


def _strings(column: pa.Array) -> pa.LargeBinaryArray:
    return length_delimited(pc.fill_null(to_binary(column), EMPTY), _ELEMENTS)


def _timestamps(column: pa.Array) -> pa.LargeBinaryArray:
    seconds = _towards_zero(to_microseconds(column))
    seconds[is_null(column)] = NULL_TIMESTAMP
    return varints(seconds)


def _towards_zero(microseconds: Ints) -> Ints:
    """Return whole seconds as ``int(datetime.timestamp())`` gives them, unlike for a timestamp alone."""
    if len(microseconds) and (microseconds.min() < _FIRST or microseconds.max() >= _LAST):
        raise ValueError("a timestamp in a list is not in the years 1 to 9999")
    seconds = np.trunc(microseconds / _PER_SECOND).astype(np.int64)
    for place in np.flatnonzero(np.abs(microseconds) >= _EXACT_MICROSECONDS):
        seconds[place] = int(int(microseconds[place]) / _PER_SECOND)
    return seconds


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind))


def _is_timestamp(kind: pa.DataType) -> bool:
    # Nanoseconds in a list Feast stores as if they were seconds.
    return bool(pa.types.is_timestamp(kind)) and kind.unit != "ns"


def _is_plain_text(kind: pa.DataType) -> bool:
    return is_text(kind) and not pa.types.is_dictionary(kind)


LISTS: dict[str, List] = {
    "BYTES_LIST": List(11, is_bytes, _strings, packed=False),
    "STRING_LIST": List(12, _is_plain_text, _strings, packed=False),
    "INT32_LIST": List(13, pa.types.is_integer, _integers32),
    "INT64_LIST": List(14, pa.types.is_integer, _integers),
    "DOUBLE_LIST": List(15, _is_float, _doubles),
    "FLOAT_LIST": List(16, _is_float, _floats),
    "BOOL_LIST": List(17, pa.types.is_boolean, _booleans),
    "UNIX_TIMESTAMP_LIST": List(18, _is_timestamp, _timestamps),
    "UUID_LIST": List(38, _is_plain_text, _strings, packed=False),
    "TIME_UUID_LIST": List(39, _is_plain_text, _strings, packed=False),
    "DECIMAL_LIST": List(45, _is_plain_text, _strings, packed=False),
}

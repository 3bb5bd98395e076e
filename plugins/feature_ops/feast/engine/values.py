"""
Columns of Arrow values as the bytes of Feast's ``Value`` messages.

Source of the format: ``feast/types/Value.proto`` and ``feast.type_map.python_values_to_proto_values`` of
Feast 0.67, of which every function here gives the bytes. What Feast stores for null is the empty message;
it stores that for NaN, too, since it asks pandas what is null. A timestamp that is null is the smallest
64-bit number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.wire import (
    EMPTY,
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    VARINT,
    Bools,
    Ints,
    fixed_width,
    length_delimited,
    tag,
    to_ints,
    varints,
)

NULL_TIMESTAMP = np.iinfo(np.int64).min
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Scalar:
    """
    How one of Feast's scalar types is written.

    :param field: the number of its field in ``Value``.
    :param accepts: whether values of an Arrow type can be written as this type.
    :param encode: writes a column, with the field's tag; nulls become the empty message.
    """

    field: int
    accepts: Callable[[pa.DataType], bool]
    encode: Callable[[pa.Array, int], pa.LargeBinaryArray]


def encode_scalars(column: pa.Array, feast_type: str) -> pa.LargeBinaryArray:
    """
    Return a column of scalars as serialized ``Value`` messages.

    :param feast_type: name of Feast's value type, such as ``INT64``.
    :raises pyarrow.ArrowInvalid: an integer does not fit into the type.
    """
    scalar = SCALARS[feast_type]
    return scalar.encode(plain(column), scalar.field)


def plain(column: pa.Array) -> pa.Array:
    """Return the column without dictionary, run-end or fixed-size representation."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are text, in a dictionary or not."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values of the type are byte strings."""
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def to_binary(column: pa.Array) -> pa.LargeBinaryArray:
    """Return text or byte strings as byte strings with 64-bit offsets."""
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    return column.cast(pa.large_binary())


def to_seconds(column: pa.Array) -> Ints:
    """Return timestamps in whole seconds since 1970, rounded down; null is :data:`NULL_TIMESTAMP`."""
    seconds: Ints = to_ints(column.cast(pa.int64())) // _UNITS_PER_SECOND[column.type.unit]
    seconds[is_null(column)] = NULL_TIMESTAMP
    return seconds


def to_int32(column: pa.Array) -> pa.Array:
    """Return integers of 32 bits; raises :class:`pyarrow.ArrowInvalid` for those that do not fit."""
    return column.cast(pa.int32())


def is_null(column: pa.Array) -> Bools:
    """Return where the column is null."""
    nulls: Bools = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _integers(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    return varints(to_ints(column), tag(field, VARINT), ~is_null(column))


def _integers32(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    return _integers(to_int32(column), field)


def _floats(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    numbers = _filled(column, pa.float32())
    return fixed_width(numbers, tag(field, FIXED32), ~np.isnan(numbers))


def _doubles(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    numbers = _filled(column, pa.float64())
    return fixed_width(numbers, tag(field, FIXED64), ~np.isnan(numbers))


def _filled(column: pa.Array, kind: pa.DataType) -> np.ndarray:
    if pa.types.is_integer(column.type):
        # As Python does it: to 64 bits first, rounded there.
        column = column.cast(pa.float64(), safe=False)
    numbers = column.cast(kind, safe=False).fill_null(float("nan"))
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _booleans(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    bits = column.cast(pa.uint8()).fill_null(0).to_numpy(zero_copy_only=False)
    return fixed_width(bits, tag(field, VARINT), ~is_null(column))


def _strings(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    return pc.fill_null(length_delimited(to_binary(column), tag(field, LENGTH_DELIMITED)), EMPTY)


def _timestamps(column: pa.Array, field: int) -> pa.LargeBinaryArray:
    return varints(to_seconds(column), tag(field, VARINT))


def _is_float_or_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind) or pa.types.is_integer(kind))


def _is_double(kind: pa.DataType) -> bool:
    # Feast itself takes no other numbers for its Float64.
    return bool(pa.types.is_float64(kind) or pa.types.is_int64(kind))


SCALARS: dict[str, Scalar] = {
    "BYTES": Scalar(1, is_bytes, _strings),
    "PDF_BYTES": Scalar(1, is_bytes, _strings),
    "IMAGE_BYTES": Scalar(1, is_bytes, _strings),
    "STRING": Scalar(2, is_text, _strings),
    "INT32": Scalar(3, pa.types.is_integer, _integers32),
    "INT64": Scalar(4, pa.types.is_integer, _integers),
    "DOUBLE": Scalar(5, _is_double, _doubles),
    "FLOAT": Scalar(6, _is_float_or_integer, _floats),
    "BOOL": Scalar(7, pa.types.is_boolean, _booleans),
    "UNIX_TIMESTAMP": Scalar(8, pa.types.is_timestamp, _timestamps),
    "UUID": Scalar(36, is_text, _strings),
    "TIME_UUID": Scalar(37, is_text, _strings),
    "DECIMAL": Scalar(44, is_text, _strings),
}

"""
Entity keys as online stores look them up.

Source of the format: ``feast.infra.key_encoding_utils.serialize_entity_key`` of Feast 0.67, version 3: the
number of join keys, their names in sorted order, then their values in the same order. All numbers are
little-endian; types are those of ``feast.types.ValueType``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.values import (
    is_bytes,
    is_text,
    plain,
    to_binary,
    to_int32,
    to_seconds,
)
from feature_ops.feast.engine.wire import EMPTY, fixed_width, lengths_of, to_ints

SERIALIZATION_VERSION = 3
_STRING = 2


def encode_entity_keys(columns: Mapping[str, tuple[pa.Array, str]]) -> pa.LargeBinaryArray:
    """
    Return the serialized key of every row.

    :param columns: the values and the name of Feast's value type of each join key; at least one.
    :raises ValueError: a key is null.
    """
    names = sorted(columns)
    parts: list[pa.Array | pa.Scalar] = [pa.scalar(_names(names), pa.large_binary())]
    for name in names:
        column, feast_type = columns[name]
        if column.null_count and feast_type != "UNIX_TIMESTAMP":
            raise ValueError(f"the join key {name} is null in {column.null_count:,} rows")
        parts += KEY_TYPES[feast_type][1](plain(column))
    return pc.binary_join_element_wise(*parts, EMPTY)


def _names(names: list[str]) -> bytes:
    encoded = [name.encode() for name in names]
    return struct.pack("<I", len(encoded)) + b"".join(
        struct.pack("<II", _STRING, len(name)) + name for name in encoded
    )


def _bytes(type_number: int) -> Callable[[pa.Array], list[pa.Array]]:
    def encode(column: pa.Array) -> list[pa.Array]:
        values = to_binary(column)
        lengths = lengths_of(values).astype(np.uint32)
        return [fixed_width(lengths, struct.pack("<I", type_number)), values]

    return encode


def _int32(column: pa.Array) -> list[pa.Array]:
    return [fixed_width(to_ints(to_int32(column)).astype(np.int32), struct.pack("<II", 3, 4))]


def _int64(column: pa.Array) -> list[pa.Array]:
    return [fixed_width(to_ints(column), struct.pack("<II", 4, 8))]


def _seconds(column: pa.Array) -> list[pa.Array]:
    return [fixed_width(to_seconds(column), struct.pack("<II", 8, 8))]


# What a key of each type may be in Arrow, and how it is written.
KEY_TYPES: dict[str, tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[pa.Array]]]] = {
    "BYTES": (is_bytes, _bytes(1)),
    "STRING": (is_text, _bytes(2)),
    "INT32": (pa.types.is_integer, _int32),
    "INT64": (pa.types.is_integer, _int64),
    "UNIX_TIMESTAMP": (pa.types.is_timestamp, _seconds),
}

"""
Protobuf's wire format, written for a whole column at once.

Source of the format: https://protobuf.dev/programming-guides/encoding/. Every function returns one record
of bytes per element; the records lie one after the other in one buffer, as Arrow's binary arrays have them.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]


def tag(field: int, wire_type: int) -> bytes:
    """Return the tag that goes before a field of a message."""
    return small_varint(field << 3 | wire_type)


def small_varint(value: int) -> bytes:
    """Return one number that is not negative as a varint."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def varints(values: Ints, before: bytes = b"", written: Bools | None = None) -> pa.LargeBinaryArray:
    """
    Return 64-bit numbers as varints; negative ones take ten bytes, as protobuf has it.

    :param before: bytes that go before each, such as a tag.
    :param written: where False, the record is empty.
    """
    rest = values.view(np.uint64)
    highest = int(rest.max()) if len(rest) else 0
    groups = min(_LONGEST_VARINT, max(1, -(-highest.bit_length() // 7)))
    columns = np.empty((len(values), len(before) + groups), np.uint8)
    used = np.ones(columns.shape, np.bool_)
    columns[:, : len(before)] = np.frombuffer(before, np.uint8)
    for place in range(groups):
        column = len(before) + place
        if place:
            used[:, column] = rest != 0
        further = rest >> np.uint64(7)
        columns[:, column] = (rest & np.uint64(0x7F)).astype(np.uint8) | (further != 0) * np.uint8(0x80)
        rest = further
    if written is not None:
        used &= written[:, None]
    return from_lengths(used.sum(axis=1, dtype=np.int64), columns[used])


def fixed_width(
    values: npt.NDArray[np.generic], before: bytes = b"", written: Bools | None = None
) -> pa.LargeBinaryArray:
    """Return numbers as they lie in memory, little-endian; the parameters are those of :func:`varints`."""
    width = values.dtype.itemsize
    columns = np.empty((len(values), len(before) + width), np.uint8)
    columns[:, : len(before)] = np.frombuffer(before, np.uint8)
    if len(values):
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        columns[:, len(before) :] = little.view(np.uint8).reshape(-1, width)
    lengths = np.full(len(values), columns.shape[1], np.int64)
    if written is not None:
        lengths *= written
        columns = columns[written]
    return from_lengths(lengths, columns.reshape(-1))


def length_delimited(payload: pa.LargeBinaryArray, before: bytes) -> pa.LargeBinaryArray:
    """Return byte strings with their length before them, after a tag; null stays null."""
    return pc.binary_join_element_wise(varints(lengths_of(payload), before), payload, EMPTY)


def from_lengths(lengths: Ints, data: Bytes) -> pa.LargeBinaryArray:
    """Return the array whose records are so long and lie one after the other in ``data``."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return from_offsets(offsets, data)


def from_offsets(offsets: Ints, data: Bytes | pa.Buffer) -> pa.LargeBinaryArray:
    """Return the array whose records lie between the offsets; nothing is copied."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(np.ascontiguousarray(data))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), buffer]
    )


def lengths_of(array: pa.LargeBinaryArray) -> Ints:
    """Return how many bytes each record has; 0 where it is null."""
    return to_ints(pc.binary_length(array))


def offsets_of(array: pa.LargeBinaryArray) -> Ints:
    """Return where each record begins in the array's data buffer, and where the last one ends."""
    offsets = np.frombuffer(array.buffers()[1], np.int64)
    return offsets[array.offset : array.offset + len(array) + 1]


def to_ints(array: pa.Array) -> Ints:
    """Return integers as they are, with 0 for null."""
    whole = array.cast(pa.int64()) if array.type != pa.int64() else array
    filled: Ints = whole.fill_null(0).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(filled)


EMPTY = pa.scalar(b"", pa.large_binary())

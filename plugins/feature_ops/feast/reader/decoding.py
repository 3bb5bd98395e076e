"""
Stored values and times as Python objects.

A stored value is a ``Value`` message of ``feast/types/Value.proto``: one field of a oneof. A scalar of one of
the first eight kinds is taken from its bytes; whatever else they hold goes through protobuf and
``feast_value_type_to_python_type``, whose answers are the measure for both ways.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from struct import Struct, unpack
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FieldOptions,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_FLOAT, _DOUBLE = Struct("<xf"), Struct("<xd")
# How Feast stores a null time, as in ``feast.type_map.NULL_TIMESTAMP_INT_VALUE``.
_NO_TIME = -(2**63)


class _OtherwiseError(Exception):
    """The bytes are not the short form of one scalar."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """
    Decodes stored values of one feature; None, and an empty message, are None.

    Either function raises ``google.protobuf.message.DecodeError`` for bytes that are no ``Value``.
    """

    one: Callable[[bytes | None], Any]
    column: Callable[[Sequence[bytes | None]], list[Any]]


def decoder_of(value_type: str) -> Decoder:
    """
    Return what decodes the values of a feature.

    :param value_type: name of the feature's ``feast.value_type.ValueType``.
    """
    if value_type.startswith(("UUID", "TIME_UUID")):
        # Feast takes such values from text, too.
        one = _by_feast(value_type)
        return Decoder(one, lambda column: [one(raw) for raw in column])
    if value_type in _FIXED:
        tag, width, code = _FIXED[value_type]
        return Decoder(_one_fixed(tag, code), _fixed(tag, width, code))
    if value_type in _BATCHED:
        return Decoder(_one, _batched(value_type))
    return Decoder(_one, _each)


def row_decoder_of(value_types: Sequence[str]) -> Callable[[Sequence[bytes | None]], list[Any]]:
    """
    Return what decodes one row: a stored value of each of several features.

    Values of fixed width are taken from their bytes all at once, unless one is missing or of another kind.

    :param value_types: names of the features' ``feast.value_type.ValueType``.
    """
    ones = [decoder_of(value_type).one for value_type in value_types]
    places = [place for place, value_type in enumerate(value_types) if value_type in _FIXED]

    def one_by_one(row: Sequence[bytes | None]) -> list[Any]:
        return [decode(raw) for decode, raw in zip(ones, row, strict=True)]

    if len(places) < 2:
        return one_by_one
    others = [(place, ones[place]) for place in range(len(ones)) if place not in places]
    kinds = [_FIXED[value_types[place]] for place in places]
    tags = tuple(tag[0] for tag, _, _ in kinds)
    unpack_row = Struct("<" + "".join(f"B{code}" for _, _, code in kinds)).unpack
    fixed = itemgetter(*places)

    def at_once(row: Sequence[bytes | None]) -> list[Any]:
        try:
            found = unpack_row(b"".join(fixed(row)))
        except (struct.error, TypeError):
            return one_by_one(row)
        if found[::2] != tags:
            return one_by_one(row)
        values: list[Any] = [None] * len(row)
        for place, value in zip(places, found[1::2], strict=True):
            values[place] = value
        for place, decode in others:
            values[place] = decode(row[place])
        return values

    return at_once


def decode_time(message: bytes | None) -> datetime:
    """
    Return the moment that a ``Timestamp`` message holds, as Feast's Redis store does; no message is 1970.

    Source: ``RedisOnlineStore._get_features_for_entity`` of Feast 0.67, which goes through a float.
    """
    seconds, nanos = _seconds_and_nanos(message) if message else (0, 0)
    return datetime.fromtimestamp(seconds + nanos / 1_000_000_000.0, tz=UTC)


def _one(raw: bytes | None) -> Any:
    if not raw:
        return None
    try:
        return _KINDS[raw[0]](raw)
    except (_OtherwiseError, KeyError, IndexError, UnicodeDecodeError):
        return _through_protobuf(raw)


def _one_fixed(tag: bytes, code: str) -> Callable[[bytes | None], Any]:
    """Return a decoder of one value of this kind, for which it takes half as long as for any."""
    unpack_value, number = Struct(f"<B{code}").unpack, tag[0]

    def decode(raw: bytes | None) -> Any:
        try:
            found, value = unpack_value(raw)  # type: ignore[arg-type]
        except (struct.error, TypeError):
            return _one(raw)
        return value if found == number else _one(raw)

    return decode


def _each(column: Sequence[bytes | None]) -> list[Any]:
    return [_one(raw) for raw in column]


def _fixed(tag: bytes, width: int, code: str) -> Callable[[Sequence[bytes | None]], list[Any]]:
    """Return a decoder of values of one width, which takes a column at once if it has no gaps."""

    def decode(column: Sequence[bytes | None]) -> list[Any]:
        count = len(column)
        if None in column:
            return _each(column)
        # No gaps, as was just seen.
        whole: bytes = b"".join(column)  # type: ignore[arg-type]
        if set(map(len, column)) != {width} or whole[::width] != tag * count:  # type: ignore[arg-type]
            return _each(column)
        return list(unpack("<" + f"x{code}" * count, whole))

    return decode


def _batched(value_type: str) -> Callable[[Sequence[bytes | None]], list[Any]]:
    """
    Return a decoder of values that are no longer than they must be, which takes a column at once.

    One after the other, messages with one field are one message in which this field is repeated.
    """
    message, convert = _repeated(value_type)

    def decode(column: Sequence[bytes | None]) -> list[Any]:
        if None in column or b"" in column:
            return _each(column)
        whole: bytes = b"".join(column)  # type: ignore[arg-type]
        try:
            found = message.FromString(whole)
        except DecodeError:
            return _each(column)
        values = list(found.val)
        found.DiscardUnknownFields()
        if len(values) != len(column) or found.ByteSize() != len(whole):
            return _each(column)
        return [convert(value) for value in values] if convert else values

    return decode


@cache
def _repeated(value_type: str) -> tuple[Any, Callable[[Any], Any] | None]:
    """Return the class of a message that repeats a field of ``Value``, and what else its values need."""
    number, kind, convert = _BATCHED[value_type]
    label, unpacked = FieldDescriptorProto.LABEL_REPEATED, FieldOptions(packed=False)
    if kind in (FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES):
        unpacked = None
    field = FieldDescriptorProto(name="val", number=number, label=label, type=kind, options=unpacked)
    file = FileDescriptorProto(
        name=f"{value_type}.proto",
        syntax="proto3",
        message_type=[DescriptorProto(name="Repeated", field=[field])],
    )
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("Repeated")), convert


def _by_feast(value_type: str) -> Callable[[bytes | None], Any]:
    from feast.value_type import ValueType

    kind = ValueType[value_type]
    return lambda raw: _through_protobuf(raw, kind) if raw else None


def _through_protobuf(raw: bytes, kind: Any = None) -> Any:
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.type_map import feast_value_type_to_python_type

    return feast_value_type_to_python_type(Value.FromString(raw), kind)


def _float(raw: bytes) -> float:
    if len(raw) != 5:
        raise _OtherwiseError
    value: float = _FLOAT.unpack(raw)[0]
    return value


def _double(raw: bytes) -> float:
    if len(raw) != 9:
        raise _OtherwiseError
    value: float = _DOUBLE.unpack(raw)[0]
    return value


def _bytes(raw: bytes) -> bytes:
    length, start = raw[1], 2
    if length > 127:
        length, start = (length & 127) | raw[2] << 7, 3
        if raw[2] > 127:
            raise _OtherwiseError
    if len(raw) != start + length:
        raise _OtherwiseError
    return raw[start:]


def _text(raw: bytes) -> str:
    return _bytes(raw).decode()


def _varint(raw: bytes) -> int:
    if len(raw) == 2:
        if raw[1] > 127:
            raise _OtherwiseError
        return raw[1]
    if len(raw) == 3 and raw[1] > 127 >= raw[2]:
        return raw[1] & 127 | raw[2] << 7
    number, end = _varint_at(raw, 1)
    if end != len(raw):
        raise _OtherwiseError
    return number - 2**64 if number >= 2**63 else number


def _varint_at(raw: bytes, start: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    number, shift = 0, 0
    for place in range(start, len(raw)):
        byte = raw[place]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >= 2**64:
                break
            return number, place + 1
        shift += 7
    raise _OtherwiseError


def _int32(raw: bytes) -> int:
    number = _varint(raw)
    if not -(2**31) <= number < 2**31:
        raise _OtherwiseError
    return number


def _bool(raw: bytes) -> bool:
    if len(raw) != 2 or raw[1] > 1:
        raise _OtherwiseError
    return raw[1] == 1


def _time(raw: bytes) -> datetime | None:
    return _moment(_varint(raw))


def _moment(seconds: int) -> datetime | None:
    return None if seconds == _NO_TIME else datetime.fromtimestamp(seconds, tz=UTC)


def _seconds_and_nanos(message: bytes) -> tuple[int, int]:
    """Return the fields of a ``Timestamp`` message."""
    found, place = {0x08: 0, 0x10: 0}, 0
    try:
        while place < len(message):
            tag = message[place]
            if tag not in found:
                raise _OtherwiseError
            found[tag], place = _varint_at(message, place + 1)
    except _OtherwiseError:
        from google.protobuf.timestamp_pb2 import Timestamp

        time = Timestamp.FromString(message)
        return int(time.seconds), int(time.nanos)
    seconds, nanos = found.values()
    return seconds - 2**64 if seconds >= 2**63 else seconds, nanos


# By the first byte: the field's number and wire type.
_KINDS: dict[int, Callable[[bytes], Any]] = {
    0x0A: _bytes,
    0x12: _text,
    0x18: _int32,
    0x20: _varint,
    0x29: _double,
    0x35: _float,
    0x38: _bool,
    0x40: _time,
}
_BATCHED: dict[str, tuple[int, int, Callable[[Any], Any] | None]] = {
    "BYTES": (1, FieldDescriptorProto.TYPE_BYTES, None),
    "STRING": (2, FieldDescriptorProto.TYPE_STRING, None),
    "INT32": (3, FieldDescriptorProto.TYPE_INT32, None),
    "INT64": (4, FieldDescriptorProto.TYPE_INT64, None),
    "BOOL": (7, FieldDescriptorProto.TYPE_BOOL, None),
    "UNIX_TIMESTAMP": (8, FieldDescriptorProto.TYPE_INT64, _moment),
}
_FIXED = {"FLOAT": (b"\x35", 5, "f"), "DOUBLE": (b"\x29", 9, "d")}

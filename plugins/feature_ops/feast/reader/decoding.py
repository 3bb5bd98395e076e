"""
Stored values and times as Python objects.

A stored value is a ``Value`` message of ``feast/types/Value.proto``: one field of a oneof. A scalar of one of
the first eight kinds is taken from its bytes; whatever else they hold goes through protobuf and
``feast_value_type_to_python_type``, whose answers are the measure for both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from struct import Struct, unpack
from typing import Any

Decoder = Callable[[Sequence[bytes | None]], list[Any]]

_FLOAT, _DOUBLE = Struct("<xf"), Struct("<xd")
# How Feast stores a null time, as in ``feast.type_map.NULL_TIMESTAMP_INT_VALUE``.
_NO_TIME = -(2**63)


class _OtherwiseError(Exception):
    """The bytes are not the short form of one scalar."""


def decoder_of(value_type: str) -> Decoder:
    """
    Return what decodes a column of stored values; None, and an empty message, are None.

    :param value_type: name of the feature's ``feast.value_type.ValueType``.
    :raises google.protobuf.message.DecodeError: bytes are no ``Value``; raised by what is returned.
    """
    if value_type.startswith(("UUID", "TIME_UUID")):
        # Feast takes such values from text, too.
        return _by_feast(value_type)
    if value_type in _FIXED:
        return _fixed(*_FIXED[value_type])
    return _each


def decode_time(message: bytes | None) -> datetime:
    """
    Return the moment that a ``Timestamp`` message holds, as Feast's Redis store does; no message is 1970.

    Source: ``RedisOnlineStore._get_features_for_entity`` of Feast 0.67, which goes through a float.
    """
    seconds, nanos = _seconds_and_nanos(message) if message else (0, 0)
    return datetime.fromtimestamp(seconds + nanos / 1_000_000_000.0, tz=UTC)


def _each(column: Sequence[bytes | None]) -> list[Any]:
    kinds = _KINDS
    try:
        return [kinds[raw[0]](raw) if raw else None for raw in column]
    except (_OtherwiseError, KeyError, IndexError, UnicodeDecodeError):
        return [_one(raw) if raw else None for raw in column]


def _one(raw: bytes) -> Any:
    try:
        return _KINDS[raw[0]](raw)
    except (_OtherwiseError, KeyError, IndexError, UnicodeDecodeError):
        return _through_protobuf(raw)


def _fixed(tag: bytes, width: int, code: str) -> Decoder:
    """Return a decoder of values of one width, which takes a column at once if it has no gaps."""

    def decode(column: Sequence[bytes | None]) -> list[Any]:
        count = len(column)
        # Shorter ones are as fast one by one.
        if count < 4 or None in column:
            return _each(column)
        # No gaps, as was just seen.
        whole: bytes = b"".join(column)  # type: ignore[arg-type]
        if set(map(len, column)) != {width} or whole[::width] != tag * count:  # type: ignore[arg-type]
            return _each(column)
        return list(unpack("<" + code * count, whole))

    return decode


def _by_feast(value_type: str) -> Decoder:
    from feast.value_type import ValueType

    kind = ValueType[value_type]
    return lambda column: [_through_protobuf(raw, kind) if raw else None for raw in column]


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
    seconds = _varint(raw)
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
        from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

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
_FIXED = {"FLOAT": (b"\x35", 5, "xf"), "DOUBLE": (b"\x29", 9, "xd")}

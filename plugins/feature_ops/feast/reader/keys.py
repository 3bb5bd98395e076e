"""
Entity keys of a few rows, as online stores look them up.

Source of the format: ``feast.infra.key_encoding_utils.serialize_entity_key`` of Feast 0.67, version 3. The
engine has the same for whole columns in Arrow; for a hundred keys its calls would take longer than this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

_LENGTH = Struct("<I").pack
_INT32, _INT64 = Struct("<IIi").pack, Struct("<IIq").pack
_BYTES_TYPE, _STRING_TYPE = _LENGTH(1), _LENGTH(2)


def head_of(join_keys: Sequence[str]) -> bytes:
    """Return what every key of these join keys, which are sorted, begins with."""
    names = [name.encode() for name in join_keys]
    return _LENGTH(len(names)) + b"".join(_STRING_TYPE + _LENGTH(len(name)) + name for name in names)


def encode_column(values: Sequence[Any], value_type: str) -> list[bytes] | None:
    """
    Return what each value of one join key adds to its row's key; None if Feast has to convert the values.

    :param value_type: name of the join key's ``feast.value_type.ValueType``.
    :raises UnicodeEncodeError: a text has no form in UTF-8.
    :raises struct.error: a number is out of the type's range.
    """
    known = _PLAIN.get(value_type)
    if known is None:
        return None
    kind, encode = known
    return encode(values) if set(map(type, values)) == {kind} else None


def _texts(values: Sequence[str]) -> list[bytes]:
    return [_STRING_TYPE + _LENGTH(len(raw)) + raw for raw in [value.encode() for value in values]]


def _raws(values: Sequence[bytes]) -> list[bytes]:
    return [_BYTES_TYPE + _LENGTH(len(value)) + value for value in values]


def _int32s(values: Sequence[int]) -> list[bytes]:
    return [_INT32(3, 4, value) for value in values]


def _int64s(values: Sequence[int]) -> list[bytes]:
    return [_INT64(4, 8, value) for value in values]


_PLAIN: dict[str, tuple[type, Callable[[Any], list[bytes]]]] = {
    "STRING": (str, _texts),
    "BYTES": (bytes, _raws),
    "INT32": (int, _int32s),
    "INT64": (int, _int64s),
}

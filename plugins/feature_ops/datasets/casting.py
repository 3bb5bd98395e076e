"""Exact casts to a dataset's types: a value survives as it is, or its row is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def is_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether values of a type may become values of another; each value is still checked."""
    import pyarrow.types as t

    if t.is_dictionary(source):
        source = source.value_type
    if t.is_null(source):
        return True
    if t.is_timestamp(target):
        return bool(t.is_timestamp(source) or t.is_date(source))
    if t.is_string(target):
        return _is_text(source)
    if t.is_boolean(target):
        return bool(t.is_boolean(source) or t.is_integer(source))
    return bool(t.is_integer(source) or t.is_floating(source) or t.is_decimal(source))


def _is_text(source: pa.DataType) -> bool:
    import pyarrow.types as t

    kinds = (t.is_string, t.is_large_string, t.is_string_view, t.is_binary, t.is_large_binary)
    return any(kind(source) for kind in kinds)


def exact_cast(array: pa.Array, target: pa.DataType, wanted: int) -> tuple[pa.Array | None, list[int]]:
    """
    Return the array in the target type, or None and the positions of values that would not survive.

    :param wanted: how many such positions to look for.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return _convert(array, target), []
    except pa.ArrowInvalid:
        return None, _offending(array, target, wanted)


def _convert(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast, or raise ``ArrowInvalid`` if any value would change."""
    import pyarrow as pa

    source = array.type
    if pa.types.is_string(target):
        # Through bytes, since only then Arrow checks that the text is valid UTF-8.
        return array.cast(pa.large_binary()).cast(pa.large_string()).cast(target)
    if pa.types.is_boolean(target) and not pa.types.is_boolean(source):
        result = array.cast(pa.bool_())
        return _unchanged(array, result, result.cast(pa.int8()).cast(source, safe=False))
    if pa.types.is_timestamp(target):
        # A naive time is UTC; a time with a zone is the same instant in UTC.
        zone = getattr(source, "tz", None)
        return array.cast(pa.timestamp(target.unit, zone)).cast(target)
    if pa.types.is_decimal(source) and pa.types.is_floating(target):
        result = array.cast(target)
        return _unchanged(array, result, result.cast(source))
    return array.cast(target)


def _unchanged(array: pa.Array, result: pa.Array, back: pa.Array) -> pa.Array:
    import pyarrow as pa

    if not back.equals(array):
        raise pa.ArrowInvalid("a value would change")
    return result


def _offending(array: pa.Array, target: pa.DataType, wanted: int) -> list[int]:
    """Find offending values by halving, so that a single one in a large batch is found quickly."""
    import pyarrow as pa

    found: list[int] = []
    pending = [(0, len(array))]
    while pending and len(found) < wanted:
        start, length = pending.pop()
        try:
            _convert(array.slice(start, length), target)
        except pa.ArrowInvalid:
            if length == 1:
                found.append(start)
                continue
            half = length // 2
            pending += [(start + half, length - half), (start, half)]
    return found

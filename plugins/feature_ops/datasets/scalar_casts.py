"""Exact casts of single values: numbers, texts, times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def is_scalar_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether values of a type may become values of another; each value is still checked."""
    import pyarrow.types as t

    if t.is_null(source):
        return True
    if t.is_timestamp(target):
        return bool(t.is_timestamp(source) or t.is_date(source))
    if t.is_string(target):
        return is_text(source)
    if t.is_binary(target):
        return is_text(source) or bool(t.is_fixed_size_binary(source))
    if t.is_boolean(target):
        return bool(t.is_boolean(source) or t.is_integer(source))
    return bool(t.is_integer(source) or t.is_floating(source) or t.is_decimal(source))


def is_text(source: pa.DataType) -> bool:
    """Whether a type holds bytes of any length."""
    import pyarrow.types as t

    kinds = (t.is_string, t.is_large_string, t.is_string_view, t.is_binary, t.is_large_binary)
    return any(kind(source) for kind in kinds)


def cast_scalars(array: pa.Array, target: pa.DataType) -> pa.Array:
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
    if pa.types.is_float32(target) and pa.types.is_float64(source):
        return _narrowed(array, target)
    return array.cast(target)


def _narrowed(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Halve the digits of numbers that do not need them; Arrow itself would round."""
    import pyarrow as pa
    import pyarrow.compute as pc

    result = array.cast(target)
    # NaN differs from itself; it survives, and a rule refuses it.
    same = pc.or_(pc.equal(result.cast(array.type), array), pc.is_nan(array))
    if pc.all(same).as_py() is False:
        raise pa.ArrowInvalid("a number would be rounded")
    return result


def _unchanged(array: pa.Array, result: pa.Array, back: pa.Array) -> pa.Array:
    import pyarrow as pa

    if not back.equals(array):
        raise pa.ArrowInvalid("a value would change")
    return result

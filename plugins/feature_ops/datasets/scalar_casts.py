"""Exact casts of single values: numbers, texts, times. Sources have a plain type."""

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
    import pyarrow.lib as lib

    return source.id in (lib.Type_STRING, lib.Type_LARGE_STRING, lib.Type_BINARY, lib.Type_LARGE_BINARY)


def cast_scalars(array: pa.Array, target: pa.DataType) -> pa.Array:
    """
    Cast without changing a value.

    :raises pyarrow.ArrowInvalid: a value would change.
    """
    import pyarrow.types as t

    if t.is_null(array.type):
        return array.cast(target)
    if t.is_floating(target):
        return _to_floats(array, target)
    if t.is_integer(target):
        return _to_integers(array, target)
    if t.is_boolean(target):
        return _to_booleans(array)
    if t.is_timestamp(target):
        return _to_times(array, target)
    return _to_texts(array, target)


def _to_texts(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(target):
        # Arrow checks that a text is valid UTF-8 only if it is cast from bytes.
        return array.cast(pa.large_binary()).cast(pa.large_string()).cast(target)
    return array.cast(target)


def _to_times(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa

    # A naive time is UTC; a time with a zone is the same instant in UTC.
    zone = getattr(array.type, "tz", None)
    return array.cast(pa.timestamp(target.unit, zone)).cast(target)


def _to_booleans(array: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        return array
    result = array.cast(pa.bool_())
    return _unchanged(array, result, result.cast(pa.int8()).cast(array.type, safe=False))


def _to_integers(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow.types as t

    return (_widened(array) if t.is_decimal(array.type) else array).cast(target)


def _widened(decimals: pa.Array) -> pa.Array:
    """Return decimals of at least 128 bits: Arrow compares narrower ones with bounds that overflow."""
    import pyarrow as pa

    narrow = decimals.type.bit_width < 128
    return decimals.cast(pa.decimal128(38, decimals.type.scale)) if narrow else decimals


def _to_floats(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow.types as t

    if t.is_decimal(array.type):
        return _nearest(array, target)
    if t.is_integer(array.type):
        return _represented(array, target)
    if array.type.bit_width > target.bit_width:
        return _narrowed(array, target)
    return array.cast(target)


def _nearest(array: pa.Array, target: pa.DataType) -> pa.Array:
    """
    Return the float nearest to each decimal, by way of its digits: Arrow's own cast is inexact.

    Whole numbers without decimals behave as integers do: their digits must survive.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = _widened(array)
    digits = array.cast(pa.string())
    result = digits.cast(target)
    vanished = pc.and_(pc.equal(result, 0), pc.match_substring_regex(digits, "^-?[0.]*[1-9]"))
    if pc.any(pc.or_(vanished, pc.is_inf(result))).as_py():
        raise pa.ArrowInvalid("a number is out of range")
    if array.type.scale <= 0:
        widest = pa.decimal256(76, array.type.scale)
        _unchanged(array.cast(widest), result, result.cast(pa.string()).cast(widest))
    return result


def _represented(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Return integers as floats; Arrow itself refuses large ones that floats can represent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    result = array.cast(target, safe=False)
    bits = array.type.bit_width - pa.types.is_signed_integer(array.type)
    if pc.any(pc.greater_equal(result, 2.0**bits)).as_py():
        raise pa.ArrowInvalid("a number would be rounded")
    return _unchanged(array, result, result.cast(array.type))


def _narrowed(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Return floats of fewer bits; Arrow itself would round."""
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

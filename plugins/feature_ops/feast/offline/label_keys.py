"""Join keys of labels in the type of a source's keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.values import is_bytes, is_text, plain


@dataclass(frozen=True)
class _Kind:
    """
    Keys that may be equal though their Arrow types differ.

    :param common: what both sides are turned into to be compared; None if DuckDB compares them as they are.
    """

    has: Callable[[pa.DataType], bool]
    common: pa.DataType | None


_KINDS = (
    _Kind(is_text, pa.large_string()),
    _Kind(is_bytes, pa.large_binary()),
    _Kind(pa.types.is_integer, None),
    _Kind(pa.types.is_boolean, None),
)


def why_not_comparable(label: pa.DataType, source: pa.DataType) -> str | None:
    """Return why keys of two types can't be joined here; None if they can."""
    kind = _kind_of(source)
    if kind is None:
        return f"{source} in its source"
    if kind.has(_value_type(label)) or pa.types.is_null(label) or _are_numbers(label, source):
        return None
    return f"{source} in its source and {label} in the labels"


def comparable_keys(column: pa.Array, source: pa.DataType) -> pa.Array:
    """
    Return the labels' keys as they are joined; null where no key of the source can be equal.

    :param column: of a type with which :func:`why_not_comparable` finds nothing wrong.
    """
    kind = _kind_of(source)
    assert kind is not None
    if pa.types.is_null(column.type):
        return column.cast(kind.common or source)
    if _are_numbers(column.type, source):
        return _whole_numbers(column)
    values = plain(column)
    return values.cast(kind.common) if kind.common else values


def comparable_type(source: pa.DataType) -> pa.DataType:
    """Return into what the source's keys are turned to be joined."""
    kind = _kind_of(source)
    return kind.common if kind and kind.common else source


def _kind_of(source: pa.DataType) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.has(_value_type(source))), None)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _are_numbers(label: pa.DataType, source: pa.DataType) -> bool:
    """Whether pandas made floats of integers, as it does where one is missing."""
    return bool(pa.types.is_float64(label) and pa.types.is_integer(source))


def _whole_numbers(column: pa.Array) -> pa.Array:
    values = pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False)
    # 2**63 is a float and no int64; -2**63 is both.
    whole = (np.floor(values) == values) & (values >= -(2.0**63)) & (values < 2.0**63)
    return pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)

"""Exact casts to a dataset's types: a value survives as it is, or its row is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_ops.datasets.column import Column, ColumnType
from feature_ops.datasets.json_casts import cast_json, cast_maps, is_map_castable
from feature_ops.datasets.nested_casts import (
    cast_lists,
    cast_structs,
    is_list_castable,
    is_struct_castable,
)
from feature_ops.datasets.scalar_casts import cast_scalars, is_scalar_castable

if TYPE_CHECKING:
    import pyarrow as pa


def is_castable(source: pa.DataType, column: Column) -> bool:
    """Whether values of a type may become values of a column; each value is still checked."""
    import pyarrow.types as t

    if t.is_dictionary(source):
        source = source.value_type
    source = _stored(source)
    if t.is_null(source):
        return True
    if column.type is ColumnType.MAP:
        return is_map_castable(source)
    target = column.arrow_type()
    if column.type is ColumnType.LIST:
        return is_list_castable(source, target)
    if column.type is ColumnType.STRUCT:
        return is_struct_castable(source, target)
    return is_scalar_castable(source, target)


def exact_cast(array: pa.Array, column: Column, wanted: int) -> tuple[pa.Array | None, list[int]]:
    """
    Return the array in the column's type, or None and the positions of values that would not survive.

    :param wanted: how many such positions to look for.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    try:
        return _convert(array, column), []
    except ValueError:  # Arrow's own, too
        return None, _offending(array, column, wanted)


def _stored(source: pa.DataType) -> pa.DataType:
    """Return what a type is made of: parquet's JSON is a text to us."""
    import pyarrow as pa

    return source.storage_type if isinstance(source, pa.BaseExtensionType) else source


def _convert(array: pa.Array, column: Column) -> pa.Array:
    """Cast, or raise ``ValueError`` if any value would change."""
    import pyarrow as pa

    target = column.arrow_type()
    if pa.types.is_null(array.type):
        return array.cast(target)
    if column.type is ColumnType.JSON:
        return cast_json(array)
    if column.type is ColumnType.MAP:
        return cast_maps(array)
    if column.type is ColumnType.LIST:
        return cast_lists(array, target)
    if column.type is ColumnType.STRUCT:
        return cast_structs(array, target)
    return cast_scalars(array, target)


def _offending(array: pa.Array, column: Column, wanted: int) -> list[int]:
    """Find offending values by halving, so that a single one in a large batch is found quickly."""
    found: list[int] = []
    pending = [(0, len(array))]
    while pending and len(found) < wanted:
        start, length = pending.pop()
        try:
            _convert(array.slice(start, length), column)
        except ValueError:
            if length == 1:
                found.append(start)
                continue
            half = length // 2
            pending += [(start + half, length - half), (start, half)]
    return found

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
from feature_ops.datasets.plain_arrays import plain_array, plain_type
from feature_ops.datasets.scalar_casts import cast_scalars, is_scalar_castable

if TYPE_CHECKING:
    import pyarrow as pa


def is_castable(source: pa.DataType, column: Column) -> bool:
    """Whether values of a type may become values of a column; each value is still checked."""
    import pyarrow.types as t

    source = plain_type(source)
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
    array = plain_array(array)
    try:
        return _convert(array, column), []
    except ValueError:  # Arrow's own, too
        return None, _offending(array, column, wanted)


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


def cast_remedy(source: pa.DataType, column: Column) -> str:
    """Return what to do about values that do not fit into a column's type."""
    import pyarrow.types as t

    if column.type is ColumnType.TIMESTAMP:
        if t.is_timestamp(source) and source.unit == "ns":
            return (
                "round the times to microseconds where the file is written (pandas: .dt.floor('us'), "
                "SQL: date_trunc('microseconds', ...))"
            )
        return "correct the times: microseconds hold about 292,000 years before and after 1970"
    if column.type is ColumnType.STRING:
        return "write the texts as UTF-8"
    if column.type in (ColumnType.JSON, ColumnType.MAP):
        return f"write each value as {column.described}"
    return f"write values that {column.described} can hold, or declare the column as another type"

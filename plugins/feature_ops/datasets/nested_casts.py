"""Exact casts of lists and structs: each of their values survives as it is, or the row is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_ops.datasets.plain_arrays import is_list
from feature_ops.datasets.scalar_casts import cast_scalars, is_scalar_castable

if TYPE_CHECKING:
    import pyarrow as pa


def is_list_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether lists may become a column's lists."""
    return is_list(source) and is_scalar_castable(source.value_type, target.value_type)


def is_struct_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether structs may become a column's structs: of the same fields, in any order."""
    import pyarrow.types as t

    if not t.is_struct(source) or sorted(_names(source)) != sorted(_names(target)):
        return False
    return all(is_scalar_castable(source.field(field.name).type, field.type) for field in target)


def cast_lists(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast, or raise ``ArrowInvalid`` if any element would change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(array).cast(pa.int32()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum_checked(lengths)])
    elements = cast_scalars(pc.list_flatten(array), target.value_type)
    return pa.ListArray.from_arrays(offsets, elements, type=target, mask=array.is_null())


def cast_structs(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast, or raise ``ArrowInvalid`` if any field's value would change."""
    import pyarrow as pa

    there = dict(zip(_names(array.type), array.flatten(), strict=True))
    fields = [cast_scalars(there[field.name], field.type) for field in target]
    return pa.StructArray.from_arrays(fields, fields=list(target), mask=array.is_null())


def _names(struct: pa.DataType) -> list[str]:
    return [field.name for field in struct]

"""
Arrow arrays without dictionaries, views and extension types.

Parquet files store the Arrow type of their writer, and Arrow's compute functions support few of these types:
``string_view`` (DataFusion, polars), ``list_view``, dictionaries of any index type, ``arrow.json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the basic type of the same values, at every level of nesting."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(type_, pa.BaseExtensionType):
        return plain_type(type_.storage_type)
    if t.is_dictionary(type_):
        return plain_type(type_.value_type)
    if t.is_string_view(type_):
        return pa.large_string()
    if t.is_binary_view(type_):
        return pa.large_binary()
    return _plain_nested(type_)


def _plain_nested(type_: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_struct(type_):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in type_])
    if t.is_map(type_):
        return pa.map_(plain_type(type_.key_type), plain_type(type_.item_type))
    if is_list(type_):
        return pa.large_list(plain_type(type_.value_type))
    return type_


def plain_array(array: pa.Array) -> pa.Array:
    """
    Return the same values in their :func:`plain_type`.

    :raises pyarrow.ArrowException: Arrow can't convert the type.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if pa.types.is_primitive(array.type):
        return array
    plain = plain_type(array.type)
    if isinstance(array, pa.ExtensionArray):
        return plain_array(array.storage)
    if t.is_dictionary(array.type):
        return plain_array(array.dictionary_decode())
    if is_list(array.type):
        return _plain_list(array)
    if t.is_struct(array.type):
        fields = [plain_array(field) for field in array.flatten()]
        return pa.StructArray.from_arrays(fields, fields=list(plain), mask=array.is_null())
    return array if plain == array.type else array.cast(plain)


def _plain_list(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(array).cast(pa.int64()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum_checked(lengths)])
    elements = plain_array(pc.list_flatten(array))
    return pa.LargeListArray.from_arrays(offsets, elements, mask=array.is_null())


def is_list(type_: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists."""
    import pyarrow.lib as lib

    return type_.id in (
        lib.Type_LIST,
        lib.Type_LARGE_LIST,
        lib.Type_FIXED_SIZE_LIST,
        lib.Type_LIST_VIEW,
        lib.Type_LARGE_LIST_VIEW,
    )

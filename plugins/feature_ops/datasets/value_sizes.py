"""How many bytes the values of a column take, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feature_ops.datasets.plain_arrays import is_list, plain_array
from feature_ops.datasets.scalar_casts import is_text

if TYPE_CHECKING:
    import pyarrow as pa

# A number, a time or a truth value, and the place of a value of any length.
_NUMBER, _PLACE = 8, 4


def value_sizes(array: pa.Array) -> Any:
    """Return the bytes of each value of a column, as an array of numpy."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        # One more at the end, for those that are null.
        sizes = np.append(value_sizes(array.dictionary), _PLACE)
        indices = array.indices.cast(pa.int64()).fill_null(len(array.dictionary))
        return sizes[indices.to_numpy(zero_copy_only=False)]
    array = plain_array(array)
    if t.is_map(array.type):
        array = array.cast(
            pa.list_(pa.struct([("key", array.type.key_type), ("item", array.type.item_type)]))
        )
    if is_text(array.type):
        return _lengths(array) + _PLACE
    if is_list(array.type):
        return _of_lists(array)
    sizes = np.full(len(array), _NUMBER, np.int64)
    if t.is_struct(array.type):
        for field in array.flatten():
            sizes += value_sizes(field)
    return sizes


def is_list_of_numbers(type_: pa.DataType) -> bool:
    """Whether a type is a list of what takes as many bytes in every row."""
    import pyarrow.types as t

    return is_list(type_) and bool(t.is_primitive(type_.value_type))


def _lengths(array: pa.Array) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    return pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _of_lists(array: pa.Array) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    # Of all elements before each, so that a row is what lies between two of them.
    before = np.concatenate([[0], np.cumsum(value_sizes(pc.list_flatten(array)))]).astype(np.int64)
    ends = np.cumsum(counts)
    return before[ends] - before[ends - counts] + _PLACE

"""Which features the engine writes, and how."""

from __future__ import annotations

import pyarrow as pa

from feature_ops.feast.engine.lists import LISTS, accepts_lists, encode_lists
from feature_ops.feast.engine.values import SCALARS, encode_scalars


def accepts(kind: pa.DataType, feast_type: str) -> bool:
    """
    Whether a column can be written with the bytes that Feast writes.

    :param feast_type: name of Feast's value type, such as ``INT64`` or ``STRING_LIST``.
    """
    if feast_type in LISTS:
        return accepts_lists(kind, feast_type)
    return feast_type in SCALARS and SCALARS[feast_type].accepts(kind)


def encode_values(column: pa.Array, feast_type: str) -> pa.LargeBinaryArray:
    """
    Return a column as serialized ``Value`` messages.

    :raises pyarrow.ArrowInvalid: an integer does not fit into the type.
    :raises ValueError: a timestamp in a list is not in the years 1 to 9999.
    """
    return encode_lists(column, feast_type) if feast_type in LISTS else encode_scalars(column, feast_type)

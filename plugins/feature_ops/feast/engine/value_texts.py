"""
Values as the text that SQL stores keep beside them, for searches.

Source of the format: ``feast.infra.online_stores.helpers.extract_text_and_num`` of Feast 0.67: what
Python's ``str`` makes of strings, numbers and booleans; null for all else, and for null and NaN.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.values import plain


def value_texts(column: pa.Array, feast_type: str) -> pa.LargeStringArray:
    """
    Return the text of each value.

    :param feast_type: name of Feast's value type, such as ``INT64``.
    """
    if feast_type == "STRING":
        return plain(column).cast(pa.large_string())
    if feast_type in ("INT32", "INT64"):
        return column.cast(pa.large_string())
    if feast_type in ("FLOAT", "DOUBLE"):
        return _numbers(column, pa.float32() if feast_type == "FLOAT" else pa.float64())
    if feast_type == "BOOL":
        return pc.if_else(column, pa.scalar("True", pa.large_string()), pa.scalar("False", pa.large_string()))
    return pa.nulls(len(column), pa.large_string())


def _numbers(column: pa.Array, kind: pa.DataType) -> pa.LargeStringArray:
    if pa.types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    numbers = column.cast(kind, safe=False).to_pylist()
    # Arrow writes numbers in a way of its own.
    return pa.array(
        [None if number is None or number != number else repr(number) for number in numbers],
        pa.large_string(),
    )

"""
Times of 96 bits (INT96), which older writers use: nanoseconds over a range of years that no 64 bits hold.

Arrow reads them as microseconds and drops the rest without notice, or as nanoseconds that wrap around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.plain_arrays import is_list

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def int96_columns(file: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """Return which of some columns hold times of 96 bits."""
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    legacy = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
    roots = {path.partition(".")[0] for path in legacy}
    return [name for name in names if name in legacy or name in roots]


def with_lost_digits(batch: pa.RecordBatch, nanoseconds: pa.RecordBatch) -> pa.RecordBatch:
    """
    Return a batch read as microseconds; columns that lost digits hold nanoseconds where they did, else null.

    So the cast to microseconds, which follows, refuses exactly these values.

    :param nanoseconds: the same rows of its INT96 columns, read as nanoseconds.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, precise in zip(nanoseconds.schema.names, nanoseconds.columns, strict=True):
        position = batch.schema.get_field_index(name)
        lost = _lost_digits(batch.column(position), precise)
        if not lost.any():
            continue
        if not is_list(precise.type):
            precise = pc.if_else(pa.array(lost), precise, None)
        batch = batch.set_column(position, name, precise)
    return batch


def _lost_digits(microseconds: pa.Array, nanoseconds: pa.Array) -> Any:
    """Return for each value whether it lost digits, as an array of numpy."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    while is_list(microseconds.type):
        microseconds, nanoseconds = pc.list_flatten(microseconds), pc.list_flatten(nanoseconds)
    if not pa.types.is_timestamp(microseconds.type):
        return np.zeros(0, bool)
    coarse, fine = (
        times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        for times in (microseconds, nanoseconds)
    )
    # Both wrap around modulo 2^64, so that their difference does not.
    return fine - coarse * 1000 != 0

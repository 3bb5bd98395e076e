"""
Rows in the order of their keys, for stores that keep them in a tree.

Rows of a history come in the order of time, so the keys of a batch are spread over the whole tree, and each
batch would read and write most of its pages. Of many rows that are sorted first, each batch touches a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.values import plain


def in_key_order(
    batches: Iterable[tuple[pa.RecordBatch, int]],
    keys_of: Callable[[pa.RecordBatch], pa.Array],
    limits: Limits,
    *,
    piece_rows: int | None = None,
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """
    Yield the rows again, as many sorted together as the limits let be held.

    :param batches: rows, and how far the source is read with them, as :meth:`.LatestRows.batches` has it.
    :param keys_of: the serialized keys of rows.
    :param piece_rows: so many rows of the source at most are sorted together, but for a batch that has more.
    """
    held: list[pa.RecordBatch] = []
    held_bytes = before = end = 0
    for rows, reached in batches:
        batch = _without_dictionaries(rows)
        is_full = held_bytes + batch.nbytes > limits.sorted_bytes
        if held and (is_full or (piece_rows is not None and reached - before > piece_rows)):
            yield from _sorted(held, keys_of, limits, before, end)
            held_bytes, before = 0, end
        held.append(batch)
        held_bytes += batch.nbytes
        end = reached
    if held:
        yield from _sorted(held, keys_of, limits, before, end)


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Those of several batches may not fit into one."""
    return pa.RecordBatch.from_arrays([plain(column) for column in batch.columns], names=batch.schema.names)


def _sorted(
    held: list[pa.RecordBatch],
    keys_of: Callable[[pa.RecordBatch], pa.Array],
    limits: Limits,
    before: int,
    end: int,
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield what is held, and let go of it; only with the last of it is the source read up to its end."""
    rows = pa.concat_batches(held)
    held.clear()
    order = pc.sort_indices(keys_of(rows))
    size = limits.rows_per_batch(rows)
    for start in range(0, rows.num_rows, size):
        yield rows.take(order.slice(start, size)), end if start + size >= rows.num_rows else before

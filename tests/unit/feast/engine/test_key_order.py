from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.key_order import in_key_order

ROW_BYTES = 16
Batches = list[tuple[pa.RecordBatch, int]]


def batches_of(pieces: list[list[int]]) -> Batches:
    """Return batches whose rows are reached one by one: each a key and a value that tells of it."""
    found: Batches = []
    reached = 0
    for keys in pieces:
        reached += len(keys)
        found.append((pa.record_batch({"key": pa.array(keys, pa.int64()), "value": pa.array(keys)}), reached))
    return found


def keys_of(batch: pa.RecordBatch) -> pa.Array:
    return batch.column("key")


def in_order(pieces: list[list[int]], limits: Limits, piece_rows: int | None = None) -> Batches:
    return list(in_key_order(iter(batches_of(pieces)), keys_of, limits, piece_rows=piece_rows))


def keys_in(batches: Batches) -> list[list[int]]:
    assert all(batch.column("key").equals(batch.column("value")) for batch, _ in batches)
    return [batch.column("key").to_pylist() for batch, _ in batches]


@given(
    pieces=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), max_size=9),
    batch_rows=st.integers(1, 7),
    batch_bytes=st.integers(1, 200),
    sorted_bytes=st.integers(1, 500),
    piece_rows=st.none() | st.integers(1, 20),
)
def test_whatever_the_limits_the_same_rows_come_and_none_is_reached_before_it_has_come(
    pieces: list[list[int]],
    batch_rows: int,
    batch_bytes: int,
    sorted_bytes: int,
    piece_rows: int | None,
) -> None:
    limits = Limits(batch_rows=batch_rows, batch_bytes=batch_bytes, sorted_bytes=sorted_bytes)
    found = in_order(pieces, limits, piece_rows)
    rows = [key for keys in keys_in(found) for key in keys]
    whole = [key for keys in pieces for key in keys]
    assert sorted(rows) == sorted(whole)
    assert all(0 < batch.num_rows <= batch_rows for batch, _ in found)
    come = 0
    for batch, reached in found:
        come += batch.num_rows
        assert reached <= come
        assert reached != come or sorted(rows[:come]) == sorted(whole[:come])
    assert not found or found[-1][1] == len(whole)
    assert all(before <= after for (_, before), (_, after) in pairwise(found))


def test_as_many_rows_are_sorted_together_as_may_be_held() -> None:
    pieces = [[5, 3], [4, 1], [9, 2], [8, 7]]
    all_of_them = Limits(batch_rows=3)
    assert keys_in(in_order(pieces, all_of_them)) == [[1, 2, 3], [4, 5, 7], [8, 9]]
    four = Limits(batch_rows=3, sorted_bytes=4 * ROW_BYTES)
    assert keys_in(in_order(pieces, four)) == [[1, 3], [4, 5], [2, 7], [8, 9]]


def test_of_a_load_in_pieces_no_more_are_sorted_together_than_a_piece_has() -> None:
    found = in_order([[5, 3], [4, 1], [9, 2], [8, 7]], Limits(), piece_rows=5)
    assert keys_in(found) == [[1, 3, 4, 5], [2, 7, 8, 9]]
    assert [reached for _, reached in found] == [4, 8]


def test_rows_are_read_only_when_those_before_are_asked_for() -> None:
    read: list[int] = []

    def batches() -> Iterator[tuple[pa.RecordBatch, int]]:
        for batch, reached in batches_of([[2, 1], [4, 3], [6, 5]]):
            read.append(reached)
            yield batch, reached

    found = in_key_order(batches(), keys_of, Limits(sorted_bytes=2 * ROW_BYTES))
    next(found)
    assert read == [2, 4]


def test_dictionaries_that_do_not_fit_into_one_are_no_obstacle() -> None:
    texts = [[f"{number:03}" for number in range(start, start + 120)] for start in (120, 0)]
    small = pa.dictionary(pa.int8(), pa.string())
    batches = [
        (pa.record_batch({"key": pa.array(some).dictionary_encode().cast(small)}), reached)
        for some, reached in zip(texts, (120, 240), strict=True)
    ]
    [(rows, reached)] = in_key_order(batches, keys_of, Limits())
    assert (rows.column("key").to_pylist(), reached) == (texts[1] + texts[0], 240)

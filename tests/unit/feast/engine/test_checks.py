"""Rows that cannot be encoded are found before the first write, with their number and the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from feature_ops.feast.engine.checks import UnloadableRowsError, check_keys, check_values
from feature_ops.feast.engine.latest import LatestRows

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TIME = pa.timestamp("us", "UTC")


def rows_of(
    folder: Path,
    columns: dict[str, pa.Array],
    keys: Sequence[str] = ("song",),
    features: Sequence[str] = (),
    times: Sequence[datetime] = (),
    **options: Any,
) -> LatestRows:
    """Write columns into two files; the rows are all at noon if no times are given."""
    count = len(next(iter(columns.values())))
    table = pa.table({**columns, "at": pa.array(times or [NOON] * count, TIME)})
    half = (count + 1) // 2
    for name, part in (("one", table.slice(0, half)), ("two", table.slice(half))):
        pq.write_table(part, folder / f"{name}.parquet", row_group_size=2, **options)
    files = pads.dataset([str(folder / "one.parquet"), str(folder / "two.parquet")])
    return LatestRows(
        dataset=files,
        keys={name: name for name in keys},
        features={name: name for name in features},
        event_time="at",
        created_time=None,
        start=NOON,
        end=NOON + timedelta(hours=2),
    )


KEYS: dict[str, tuple[pa.Array, str, str | None]] = {
    "text": (pa.array(["a", "b", "c", "d"]), "STRING", None),
    "a null among texts": (
        pa.array(["a", None, "c", "d"]),
        "STRING",
        "the join key song (column song) is null in 1 row (one.parquet row 2)",
    ),
    "nulls in both files": (
        pa.array([None, "b", None, None]),
        "STRING",
        "the join key song (column song) is null in 3 rows (one.parquet row 1, two.parquet row 1, "
        "two.parquet row 2)",
    ),
    "more nulls than are shown": (
        pa.nulls(8, pa.string()),
        "STRING",
        "is null in 8 rows (one.parquet row 1, one.parquet row 2, one.parquet row 3)",
    ),
    "an empty text": (pa.array(["", "b", "c", "d"]), "STRING", None),
    "texts in a dictionary": (
        pa.array(["a", None, "a", "b"]).dictionary_encode(),
        "STRING",
        "is null in 1 row (one.parquet row 2)",
    ),
    "bytes": (pa.array([b"a", None, b"c", b"d"]), "BYTES", "is null in 1 row"),
    "whole numbers that fit": (pa.array([2**31 - 1, -(2**31), 0, 1], pa.int64()), "INT32", None),
    "whole numbers that do not fit": (
        pa.array([2**31, 1, -(2**31) - 1, 2], pa.int64()),
        "INT32",
        "does not fit into INT32 in 2 rows (one.parquet row 1, two.parquet row 1)",
    ),
    "unsigned numbers that do not fit": (
        pa.array([2**63, 1, 2, 3], pa.uint64()),
        "INT64",
        "does not fit into INT64 in 1 row (one.parquet row 1)",
    ),
    "nulls and numbers that do not fit": (
        pa.array([2**40, None, 1, 2], pa.int64()),
        "INT32",
        "is null in 1 row (one.parquet row 2); the join key song (column song) does not fit into INT32 in 1",
    ),
    "no rows": (pa.array([], pa.string()), "STRING", None),
}


@pytest.mark.parametrize("has_statistics", [True, False])
@pytest.mark.parametrize("case", KEYS)
def test_keys_are_checked_with_and_without_statistics(
    case: str, has_statistics: bool, tmp_path: Path
) -> None:
    column, kind, words = KEYS[case]
    rows = rows_of(tmp_path, {"song": column}, write_statistics=has_statistics)
    if words is None:
        check_keys(rows, {"song": kind}, 2)
        return
    with pytest.raises(UnloadableRowsError) as error:
        check_keys(rows, {"song": kind}, 2)
    assert words in str(error.value)


def test_each_key_of_several_is_checked(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {"song": pa.array(["a", "b"]), "artist": pa.array(["x", None])},
        keys=("song", "artist"),
    )
    with pytest.raises(UnloadableRowsError, match=r"artist \(column artist\) is null in 1 row \(two"):
        check_keys(rows, {"song": "STRING", "artist": "STRING"}, 2)


def test_rows_outside_of_the_window_do_not_count(tmp_path: Path) -> None:
    late = NOON + timedelta(days=1)
    check_keys(
        rows_of(tmp_path, {"song": pa.array(["a", None])}, times=[NOON, late]),
        {"song": "STRING"},
        2,
    )


def test_a_column_that_a_file_lacks_is_null_in_its_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"other": pa.array(["a", "b"])}, keys=())
    files = pads.dataset(rows.dataset.files, schema=rows.dataset.schema.append(pa.field("song", pa.string())))
    with pytest.raises(
        UnloadableRowsError, match=r"is null in 2 rows \(one.parquet row 1, two.parquet row 1"
    ):
        check_keys(replace(rows, dataset=files, keys={"song": "song"}), {"song": "STRING"}, 2)


def test_a_view_without_entities_has_no_keys_to_check(tmp_path: Path) -> None:
    check_keys(rows_of(tmp_path, {"song": pa.array([None, None])}, keys=()), {"__dummy_id": "STRING"}, 2)


VALUES: dict[str, tuple[pa.Array, str, str | None]] = {
    "numbers that fit": (pa.array([1, None, -5], pa.int64()), "INT32", None),
    "numbers that do not fit": (
        pa.array([1, 2**31, -(2**40)], pa.int64()),
        "INT32",
        "the feature plays (column plays) does not fit into INT32 in 2 rows (song b, song c)",
    ),
    "unsigned numbers": (pa.array([1, 2**63, 3], pa.uint64()), "INT64", "in 1 row (song b)"),
    "a list": (pa.array([[1], [2, 2**31], None], pa.list_(pa.int64())), "INT32_LIST", "in 1 row (song b)"),
    "floats": (pa.array([1e300, float("inf"), None]), "FLOAT", None),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_are_checked_where_their_types_may_not_fit(case: str, tmp_path: Path) -> None:
    column, kind, words = VALUES[case]
    rows = rows_of(tmp_path, {"song": pa.array(["a", "b", "c"]), "plays": column}, features=("plays",))
    if words is None:
        check_values(rows, rows.find(), {"plays": kind})
        return
    with pytest.raises(UnloadableRowsError) as error:
        check_values(rows, rows.find(), {"plays": kind})
    assert words in str(error.value)


def test_a_value_that_a_later_row_replaces_is_not_checked(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {"song": pa.array(["a", "a"]), "plays": pa.array([2**40, 1], pa.int64())},
        features=("plays",),
        times=[NOON, LATER],
    )
    check_values(rows, rows.find(), {"plays": "INT32"})

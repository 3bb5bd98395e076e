"""Source files in any common form become rows in the declared types, or are refused by row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import ROW_COLUMN, Normalized, normalize
from feature_ops.exceptions import BadInputError

Rows = Callable[..., dict[str, Any]]
Normalize = Callable[..., Normalized]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = 1024**3


def content(result: Normalized) -> dict[str, list[Any]]:
    assert not result.violations, [str(violation) for violation in result.violations]
    found: dict[str, list[Any]] = pq.read_table(result.path).to_pydict()
    return found


def wrong(result: Normalized) -> str:
    return "; ".join(str(violation) for violation in result.violations)


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_names_in_any_case_and_the_pandas_index_are_no_trouble(rows: Rows, normalized: Normalize) -> None:
    columns = {name.title(): value for name, value in rows().items()}
    result = normalized(columns | {"__index_level_0__": [7, 8]})
    assert content(result)["plant"] == ["fern", "moss"]
    assert content(result)[ROW_COLUMN] == [1, 2]
    assert result.layout.unexpected == ()


def test_an_unexpected_column_is_reported_and_left_out(rows: Rows, normalized: Normalize) -> None:
    result = normalized(rows() | {"smell": [{"sweet": 1}, None]})
    assert result.layout.unexpected == ("smell",)
    assert "smell" not in content(result)


def test_a_missing_nullable_column_becomes_null_and_any_other_is_refused(
    rows: Rows, normalized: Normalize
) -> None:
    without_note = rows()
    del without_note["note"]
    result = normalized(without_note)
    assert content(result)["note"] == [None, None]
    assert result.layout.absent == ("note",)
    del without_note["height"]
    assert wrong(normalized(without_note)) == "column 'height' is missing in the file"


def test_columns_that_differ_in_case_only_are_refused(rows: Rows, normalized: Normalize) -> None:
    assert "column 'leaves' stands in the file 2 times" in wrong(normalized(rows() | {"Leaves": [1, 2]}))


def test_columns_of_one_name_are_refused(rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    table = pa.table([*columns.values(), columns["leaves"]], [*columns, "leaves"])
    assert "column 'leaves' stands in the file 2 times" in wrong(normalized(table))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (pa.timestamp("s"), NOON.replace(tzinfo=None)),
        (pa.timestamp("ms"), NOON.replace(tzinfo=None)),
        (pa.timestamp("ns"), NOON.replace(tzinfo=None)),
        (pa.timestamp("us", "UTC"), NOON),
        (pa.timestamp("ns", "Asia/Seoul"), NOON),
        (pa.timestamp("ms", "-03:30"), NOON),
    ],
)
def test_d13_a_naive_time_is_utc_and_a_zoned_one_is_the_same_instant(
    type_: pa.DataType, value: datetime, rows: Rows, normalized: Normalize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    columns = rows(event_timestamp=pa.array([value, value], type_))
    assert content(normalized(columns))["event_timestamp"] == [micros(NOON)] * 2


def test_older_writers_times_and_dates_are_read(rows: Rows, normalized: Normalize) -> None:
    times = pa.array([NOON.replace(tzinfo=None)] * 2, pa.timestamp("ns"))
    result = normalized(rows(event_timestamp=times), use_deprecated_int96_timestamps=True)
    assert content(result)["event_timestamp"] == [micros(NOON)] * 2
    days = pa.array([date(2026, 1, 1)] * 2)
    assert (
        content(normalized(rows(event_timestamp=days)))["event_timestamp"]
        == [micros(NOON.replace(hour=0))] * 2
    )


def test_a_time_between_two_microseconds_is_refused(rows: Rows, normalized: Normalize) -> None:
    whole = 1_767_225_600_000_001_000
    times = pa.array([whole, whole + 1], pa.timestamp("ns"))
    message = wrong(normalized(rows(event_timestamp=times)))
    assert "'event_timestamp' has values that do not fit" in message
    assert "row 2: 2026-01-01 00:00:00.000001001" in message


def test_d11_the_event_time_is_found_under_its_other_name(rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    columns["Snapshot_Date"] = columns.pop("event_timestamp")
    assert normalized(columns).layout.timestamp == "Snapshot_Date"


def test_d11_of_two_time_columns_one_is_taken_and_no_row_is_left_without_time(
    rows: Rows, normalized: Normalize
) -> None:
    # The reference concatenates such files into rows whose time is null.
    later = pa.array([NOON, NOON], pa.timestamp("us", "UTC"))
    result = normalized(rows(snapshot_date=later))
    assert result.layout.timestamp == "event_timestamp"
    assert result.layout.unexpected == ("snapshot_date",)
    assert normalized(rows(snapshot_date=later), "SNAPSHOT_DATE").layout.timestamp == "snapshot_date"
    half = pa.array([NOON, None], pa.timestamp("us", "UTC"))
    assert "'event_timestamp' must not be null in 1 row (row 2" in wrong(
        normalized(rows(event_timestamp=half))
    )


def test_a_time_column_that_is_not_there_is_named_with_those_that_are(
    rows: Rows, normalized: Normalize
) -> None:
    message = wrong(normalized(rows(), "day"))
    assert "column 'day' is not in the file, which has plant, leaves," in message


def test_d3_rows_without_a_time_get_the_runs_time(rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    del columns["event_timestamp"]
    result = normalized(columns)
    assert result.layout.timestamp is None
    assert content(result)["event_timestamp"] == [micros(STAMP)] * 2


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("leaves", pa.array([1.0, 2.0]), [1, 2]),
        ("leaves", pa.array([1, 2], pa.uint8()), [1, 2]),
        ("leaves", pa.array([Decimal("1.00"), Decimal("2.00")]), [1, 2]),
        ("height", pa.array([1, 2]), [1.0, 2.0]),
        ("height", pa.array([0.5, 0.25], pa.float32()), [0.5, 0.25]),
        ("height", pa.array([Decimal("0.10"), Decimal("1.50")]), [0.1, 1.5]),
        ("alive", pa.array([0, 1]), [False, True]),
        ("note", pa.array(["🌿", "a\nb"]).dictionary_encode(), ["🌿", "a\nb"]),
        ("note", pa.array(["x", None], pa.large_string()), ["x", None]),
        ("note", pa.array([b"x", None]), ["x", None]),
        ("note", pa.nulls(2), [None, None]),
    ],
)
def test_other_types_are_taken_where_every_value_survives(
    column: str, values: pa.Array, expected: list[Any], rows: Rows, normalized: Normalize
) -> None:
    assert content(normalized(rows(**{column: values})))[column] == expected


@pytest.mark.parametrize(
    ("column", "values", "row"),
    [
        ("leaves", pa.array([1.0, 2.5]), "row 2: 2.5"),
        ("leaves", pa.array([float("nan"), 2.0]), "row 1: nan"),
        ("leaves", pa.array([1, 2**63], pa.uint64()), f"row 2: {2**63}"),
        ("height", pa.array([1, 2**53 + 1]), f"row 2: {2**53 + 1}"),
        ("alive", pa.array([1, 2]), "row 2: 2"),
        ("note", pa.array([b"x", b"\xff"]), r"row 2: b'\xff'"),
    ],
)
def test_a_value_that_would_not_survive_is_refused_with_its_row(
    column: str, values: pa.Array, row: str, rows: Rows, normalized: Normalize
) -> None:
    message = wrong(normalized(rows(**{column: values})))
    assert f"column '{column}' has values that do not fit" in message
    assert row in message


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("plant", pa.array([1, 2])),
        ("leaves", pa.array(["1", "2"])),
        ("leaves", pa.array([[1], [2]])),
        ("height", pa.array([{"a": 1}, {"a": 2}])),
        ("event_timestamp", pa.array(["2026-01-01", "2026-01-02"])),
        ("event_timestamp", pa.array([1_767_225_600, 1_767_225_600])),
    ],
)
def test_a_wrong_type_is_refused_with_the_needed_one(
    column: str, values: pa.Array, rows: Rows, normalized: Normalize
) -> None:
    message = wrong(normalized(rows(**{column: values})))
    assert f"column '{column}' has type {str(values.type)[:5]}" in message
    assert "is needed" in message


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("plant", [None, "moss"], "'plant' must not be null in 1 row (row 1"),
        ("plant", ["fern", ""], "'plant' must not be empty in 1 row (row 2: '')"),
        ("plant", ["fern", " \n"], r"'plant' must not be empty in 1 row (row 2: ' \n')"),
        ("leaves", [None, 1], "'leaves' must not be null in 1 row (row 1"),
        ("leaves", [1, -1], "'leaves' must be at least 0 in 1 row (row 2: -1)"),
        ("height", [101.5, 1.0], "'height' must be at most 100 in 1 row (row 1: 101.5)"),
        ("height", [1.0, float("nan")], "'height' must be a finite number in 1 row (row 2: nan)"),
        ("height", [float("-inf"), 1.0], "'height' must be a finite number in 1 row (row 1: -inf)"),
        ("event_timestamp", [NOON, datetime(1969, 12, 31, tzinfo=UTC)], "not be before 1970 in 1 row (row 2"),
        ("event_timestamp", [STAMP + timedelta(seconds=1), NOON], "must not be in the future, that is after"),
        ("event_timestamp", [datetime(9999, 1, 1, tzinfo=UTC), NOON], "must not be in the future"),
    ],
)  # fmt: skip
def test_d11_a_broken_rule_is_refused_with_column_rule_and_row(
    column: str, values: list[Any], message: str, rows: Rows, normalized: Normalize
) -> None:
    assert message in wrong(normalized(rows(**{column: values})))


def test_rows_are_numbered_through_batches_and_row_groups_and_only_the_first_are_shown(
    rows: Rows, normalized: Normalize
) -> None:
    count = 150_000
    columns = rows(tuple(map(str, range(count))))
    columns["leaves"] = [-1 if row in (70_000, 70_001, 149_999) else 1 for row in range(1, count + 1)]
    columns["height"] = [500.0] * count
    result = normalized(columns, row_group_size=40_000, compression="zstd")
    assert "in 3 rows (row 70,000: -1, row 70,001: -1, row 149,999: -1)" in wrong(result)
    assert "in 150,000 rows (row 1: 500.0, row 2: 500.0, row 3: 500.0, row 4: 500.0, row 5: 500.0)" in wrong(
        result
    )


def test_a_long_value_is_shown_short(rows: Rows, normalized: Normalize) -> None:
    message = wrong(normalized(rows(note=pa.array([b"x", b"\xff" * 1_000_000]))))
    assert len(message) < 300


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
def test_every_common_compression_is_read(compression: str, rows: Rows, normalized: Normalize) -> None:
    result = normalized(rows(), compression=compression, row_group_size=1)
    assert content(result)["plant"] == ["fern", "moss"]


def refusal(data: bytes, dataset: Dataset, folder: Path) -> str:
    (folder / "bad").write_bytes(data)
    with pytest.raises(BadInputError) as caught:
        normalize(
            folder / "bad",
            folder / "out",
            dataset,
            timestamp_column="",
            stamp=STAMP,
            latest=STAMP,
            limit=LIMIT,
        )
    return str(caught.value)


def test_what_is_no_parquet_file_is_refused(rows: Rows, dataset: Dataset, tmp_path: Path) -> None:
    pq.write_table(pa.table(rows()), tmp_path / "good", compression="zstd")
    good = (tmp_path / "good").read_bytes()
    assert "not parquet (it starts with b'<htm')" in refusal(b"<html>", dataset, tmp_path)
    assert "cut off" in refusal(good[:-100], dataset, tmp_path)
    assert "cut off" in refusal(b"PAR1PAR1", dataset, tmp_path)
    assert "footer claims" in refusal(good[:-8] + b"\xff\xff\xff\x7fPAR1", dataset, tmp_path)
    assert "damaged" in refusal(good[:-8] + b"\xff\xff\x00\x00PAR1", dataset, tmp_path)
    assert "damaged" in refusal(good[:8] + b"\xff" * 200 + good[208:], dataset, tmp_path)


def test_a_file_without_rows_is_refused(rows: Rows, dataset: Dataset, tmp_path: Path) -> None:
    table = pa.table(rows())
    pq.write_table(table.slice(0, 0), tmp_path / "empty")
    assert "has no rows" in refusal((tmp_path / "empty").read_bytes(), dataset, tmp_path)
    with pq.ParquetWriter(tmp_path / "none", table.schema):
        pass
    assert "has no rows" in refusal((tmp_path / "none").read_bytes(), dataset, tmp_path)


@pytest.mark.parametrize("leaves", [2**53 + 1, 2**63 - 1])
def test_bounds_hold_for_integers_that_no_float_has(leaves: int, rows: Rows, normalized: Normalize) -> None:
    assert content(normalized(rows(leaves=[leaves, 0])))["leaves"] == [leaves, 0]
    assert f"'leaves' must be at least 0 in 1 row (row 1: {-leaves})" in wrong(
        normalized(rows(leaves=[-leaves, 0]))
    )

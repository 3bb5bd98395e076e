"""The history is read cheaply and exactly (from a folder here; from S3 with the real servers)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.feast.history import History

STOCK = Dataset(
    name="stock",
    keys=("shop", "item"),
    feature_service="stock_fs",
    columns=(
        Column(name="shop", type=ColumnType.STRING),
        Column(name="item", type=ColumnType.INT64),
        Column(name="left", type=ColumnType.INT64),
    ),
)
START = datetime(2024, 1, 1, tzinfo=UTC)
Rows = list[tuple[str, int, float, int]]
Write = Callable[..., str]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of shops, items, days and what is left; returns its name."""

    def _write(rows: Rows, ingested: float = 0, **options: object) -> str:
        table = pa.Table.from_pylist(
            [
                {"shop": s, "item": i, "left": n, "event_timestamp": day(d), "ingested_at": day(ingested)}
                for s, i, d, n in rows
            ],
            STOCK.arrow_schema(),
        )
        name = f"{len(list(tmp_path.iterdir()))}.parquet"
        pq.write_table(table, tmp_path / name, **options)
        return name

    return _write


@pytest.fixture
def history(tmp_path: Path) -> Callable[[], History]:
    return lambda: History.from_folder(STOCK, tmp_path)


def corrections(history: Callable[[], History], pending: str, online: list[str]) -> bool:
    now = history()
    return now.has_corrections(now.spans([pending]), now.spans(online))


@pytest.mark.parametrize("options", [{"row_group_size": 1}, {"write_statistics": False}])
def test_times_and_rows_of_a_file(write: Write, history: Callable[[], History], options: dict) -> None:
    name = write([("north", 1, 5, 1), ("north", 2, -9999, 1), ("south", 1, 0.5, 1)], **options)
    (span,) = history().spans([name])
    assert (span.name, span.rows, span.first_event, span.last_event) == (name, 3, day(-9999), day(5))


def test_times_of_a_file_whose_rows_have_structs(tmp_path: Path) -> None:
    drivers = Dataset(
        name="drivers",
        keys=("driver",),
        columns=(
            Column(name="driver", type=ColumnType.INT64),
            Column(
                name="profile",
                type=ColumnType.STRUCT,
                fields={"name": ColumnType.STRING, "age": ColumnType.INT64},
            ),
        ),
    )
    row = {
        "driver": 1,
        "profile": {"name": "Ada", "age": 36},
        "event_timestamp": day(5),
        "ingested_at": day(6),
    }
    pq.write_table(pa.Table.from_pylist([row], drivers.arrow_schema()), tmp_path / "a.parquet")
    (span,) = History.from_folder(drivers, tmp_path).spans(["a.parquet"])
    assert (span.first_event, span.last_event) == (day(5), day(5))


def test_a_file_without_rows_has_no_times(write: Write, history: Callable[[], History]) -> None:
    name = write([])
    (span,) = history().spans([name])
    assert (span.rows, span.first_event, span.last_event) == (0, None, None)


@pytest.mark.parametrize(
    ("pending", "corrects"),
    [
        ([("north", 1, 1, 9)], True),
        ([("north", 2, 1, 9)], False),
        ([("south", 1, 1, 9)], False),
        ([("north", 1, 1.00001, 9)], False),
        ([("north", 1, 50, 9)], False),
        ([("west", 1, 9, 1), ("west", 1, 9, 2)], True),
        ([], False),
    ],
)
def test_a_correction_is_a_row_with_the_key_and_time_of_another(
    write: Write, history: Callable[[], History], pending: Rows, corrects: bool
) -> None:
    online = [write([("north", 1, 1, 5), ("north", 1, 2, 4)]), write([("south", 1, 3, 3)])]
    assert corrections(history, write(pending), online) is corrects


def test_corrections_among_more_keys_than_are_sought_by_name(
    write: Write, history: Callable[[], History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_ops.feast.history._KEYS_SOUGHT", 2)
    online = [write([(f"shop {i}", 1, 1, 5) for i in range(9)])]
    assert not corrections(history, write([(f"shop {i}", 2, 1, 5) for i in range(9)]), online)
    assert corrections(history, write([(f"shop {i}", 1, 1, 5) for i in range(8, 20)]), online)


def test_the_latest_row_of_a_key_is_the_last_by_event_and_then_by_ingestion(
    write: Write, history: Callable[[], History]
) -> None:
    late = write([("north", 1, 1, 11), ("north", 2, 9, 21)], ingested=9)
    corrected = write([("north", 2, 9, 22)], ingested=10)
    early = write([("north", 1, 5, 15), ("north", 2, 9, 20), ("south", 1, 5, 31)], ingested=1)

    latest = history().latest([late, corrected, early], [("north", 1), ("north", 2)], ["left"], day(100))

    assert {key: row["left"] for key, row in latest.items()} == {("north", 1): 15, ("north", 2): 22}


def test_rows_after_the_moment_and_files_that_do_not_count_are_left_out(
    write: Write, history: Callable[[], History]
) -> None:
    first, second = write([("north", 1, 1, 11)]), write([("north", 1, 2, 12), ("north", 1, 3, 13)])
    assert history().latest([first, second], [("north", 1)], ["left"], day(2))["north", 1]["left"] == 12
    assert history().latest([first], [("north", 1)], ["left"], day(9))["north", 1]["left"] == 11
    assert history().latest([], [("north", 1)], ["left"], day(9)) == {}


def test_a_sample_has_the_first_and_the_last_row_and_is_the_same_each_time(
    write: Write, history: Callable[[], History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_ops.feast.history._BATCH_ROWS", 7)
    names = [write([("north", i, i, 1) for i in range(50)]), write([]), write([("south", 7, 7, 1)])]

    sample = history().sample(names, 11)

    assert sample == history().sample(names, 11)
    assert sample == [("north", i) for i in range(0, 50, 5)] + [("south", 7)]
    assert len(history().sample(names, 1000)) == 51
    assert history().sample(names[2:], 1) == [("south", 7)]
    assert history().sample([], 5) == []

"""Which rows of a file are news, and what the append-only history then holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Dataset

if TYPE_CHECKING:
    from conftest import Garden

Rows = Callable[..., dict[str, Any]]
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def version(rows: Rows, at: datetime, leaves: int, plant: str = "fern") -> dict[str, Any]:
    return rows((plant,), leaves=[leaves], event_timestamp=pa.array([at], pa.timestamp("us", "UTC")))


def versions(garden: Garden) -> list[tuple[datetime, int]]:
    return sorted((row["event_timestamp"], row["leaves"]) for row in garden.rows())


def test_the_same_file_again_brings_nothing(garden: Garden, rows: Rows) -> None:
    assert garden.bring(rows()).new == 2
    again = garden.bring(rows(), NOW + timedelta(days=1))
    assert (again.new, again.known) == (0, 2)


def test_d3_the_same_file_without_a_time_again_brings_nothing(garden: Garden, rows: Rows) -> None:
    stamped = rows()
    del stamped["event_timestamp"]
    assert garden.bring(stamped).new == 2
    assert garden.bring(stamped).new == 0


def test_d1_a_newer_version_is_added_and_the_old_one_stays(garden: Garden, rows: Rows) -> None:
    garden.bring(version(rows, day(1), leaves=1))
    before = [Path(file).read_bytes() for file in garden.files]
    assert garden.bring(version(rows, day(2), leaves=2)).new == 1
    assert versions(garden) == [(day(1), 1), (day(2), 2)]
    assert [Path(file).read_bytes() for file in garden.files[:1]] == before


def test_there_and_back_again_is_three_versions(garden: Garden, rows: Rows) -> None:
    for number, leaves in enumerate((1, 2, 1), start=1):
        assert garden.bring(version(rows, day(number), leaves)).new == 1
    assert versions(garden) == [(day(1), 1), (day(2), 2), (day(3), 1)]


def test_within_one_file_a_row_that_equals_the_one_before_it_is_known(garden: Garden, rows: Rows) -> None:
    times = pa.array([day(4), day(1), day(3), day(2)], pa.timestamp("us", "UTC"))
    found = garden.bring(rows(("fern",) * 4, leaves=[1, 1, 2, 1], event_timestamp=times))
    assert (found.new, found.known) == (3, 1)
    assert versions(garden) == [(day(1), 1), (day(3), 2), (day(4), 1)]


def test_a_late_row_is_compared_with_what_was_true_then(garden: Garden, rows: Rows) -> None:
    garden.bring(version(rows, day(10), leaves=5))
    assert garden.bring(version(rows, day(5), leaves=5)).new == 1
    assert garden.bring(version(rows, day(7), leaves=5)).known == 1
    assert garden.bring(version(rows, day(8), leaves=6)).new == 1


def test_a_correction_counts_as_ingested_after_what_it_corrects(garden: Garden, rows: Rows) -> None:
    garden.bring(version(rows, day(1), leaves=1), at=NOW)
    # A clock that is behind, and a correction that is taken back.
    for leaves in (2, 1):
        found = garden.bring(version(rows, day(1), leaves), at=NOW - timedelta(hours=1))
        assert (found.new, found.corrections) == (1, 1)
    assert [(row["leaves"], row["ingested_at"]) for row in garden.rows()] == [
        (1, NOW),
        (2, NOW + MICROSECOND),
        (1, NOW + 2 * MICROSECOND),
    ]
    assert garden.bring(version(rows, day(1), leaves=1)).new == 0


def test_equal_rows_of_one_file_are_counted_once(garden: Garden, rows: Rows) -> None:
    found = garden.bring(rows(("fern", "moss", "fern"), note=[None, "wet", None]))
    assert (found.new, found.repeated) == (2, 1)
    assert len(garden.rows()) == 2


def test_rows_of_one_key_and_time_with_other_values_are_refused(garden: Garden, rows: Rows) -> None:
    garden.bring(rows(("fern",), leaves=[3]))
    garden.bring(rows(("fern", "moss", "fern"), leaves=[3, 3, 4]))
    (violation,) = garden.violations
    assert "same key and event time in another row" in violation
    assert "(row 3: 'fern' as in row 1)" in violation
    assert len(garden.rows()) == 1


def test_null_equals_null_and_nothing_else(garden: Garden, rows: Rows) -> None:
    garden.bring(rows(("fern",), note=pa.array([None], pa.string())))
    assert garden.bring(rows(("fern",), note=pa.array([None], pa.string()))).new == 0
    assert garden.bring(rows(("fern",), note=[""])).new == 1
    assert garden.bring(rows(("fern",), note=pa.array([None], pa.string()))).new == 1


@pytest.mark.parametrize("plant", ["🌵", "👩\u200d🚀", "a'b\"c", "a\u00a0b", "x" * 1024])
def test_keys_of_any_visible_text_are_found_again(plant: str, garden: Garden, rows: Rows) -> None:
    assert garden.bring(rows((plant,))).new == 1
    assert garden.bring(rows((plant,))).new == 0


def test_more_keys_than_are_sought_by_name_are_found_again(garden: Garden, rows: Rows) -> None:
    plants = tuple(map(str, range(12_000)))
    assert garden.bring(rows(plants)).new == 12_000
    found = garden.bring(rows((*plants, "new")))
    assert (found.new, found.known) == (1, 12_000)
    assert (found.first_event, found.last_event) == (day(1), day(1))


def test_every_file_of_the_history_has_the_declared_schema_and_order(
    garden: Garden, rows: Rows, dataset: Dataset
) -> None:
    garden.bring(rows(("moss", "fern", "algae")))
    garden.bring({name.upper(): value for name, value in rows(("reed",), leaves=pa.array([1.0])).items()})
    for file in garden.files:
        assert pq.read_schema(file) == dataset.arrow_schema()
        assert pq.read_schema(file).metadata is None
    assert pq.read_table(garden.files[0]).column("plant").to_pylist() == ["algae", "fern", "moss"]


def test_the_same_rows_give_the_same_bytes_whatever_their_order(
    garden: Garden, rows: Rows, dataset: Dataset
) -> None:
    plants = tuple(f"plant {number:06}" for number in range(70_000))
    garden.bring(rows(plants))
    garden.files.clear()
    first = garden.bring(rows(plants)), garden.files.pop()
    second = garden.bring(rows(plants[::-1])), garden.files.pop()
    assert Path(first[1]).name == Path(second[1]).name
    assert Path(first[1]).read_bytes() == Path(second[1]).read_bytes()
    assert pq.ParquetFile(first[1]).metadata.num_row_groups == 2

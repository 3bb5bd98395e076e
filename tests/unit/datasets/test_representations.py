"""Equal rows are known, whatever types the next delivery has them in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from conftest import Garden

Rows = Callable[..., dict[str, Any]]
DAY = datetime(2026, 1, 1, tzinfo=UTC)
PLANTS = tuple(f"plant {number}" for number in range(40))
# Short decimals, as sensors and SQL give them; 0.009 is one that Arrow's own cast gets wrong.
HEIGHTS = [number / 1000 for number in range(9, 49)]


def decimals(make: Callable[[int, int], pa.DataType], precision: int, scale: int) -> pa.Array:
    return pa.array([Decimal(str(value)) for value in HEIGHTS], make(precision, scale))


REPRESENTATIONS: dict[str, dict[str, pa.Array]] = {
    "decimals of scale 3": {"height": decimals(pa.decimal32, 9, 3)},
    "decimals of scale 9": {"height": decimals(pa.decimal128, 38, 9)},
    "decimals of scale 30": {"height": decimals(pa.decimal256, 76, 30)},
    "decimals that Arrow made of doubles": {"height": pa.array(HEIGHTS).cast(pa.decimal128(38, 20))},
    "leaves as decimals": {"leaves": pa.array([Decimal(3)] * 40, pa.decimal128(38, 6))},
    "leaves as doubles": {"leaves": pa.array([3.0] * 40)},
    "leaves as unsigned": {"leaves": pa.array([3] * 40, pa.uint64())},
    "truth as numbers": {"alive": pa.array([1] * 40, pa.int8())},
    "texts as views": {
        "plant": pa.array(PLANTS, pa.string_view()),
        "note": pa.array(["a"] * 40, pa.string_view()),
    },
    "texts as categories": {"note": pa.array(["a"] * 40).dictionary_encode()},
    "texts as bytes": {"plant": pa.array([name.encode() for name in PLANTS], pa.large_binary())},
    "times in seconds": {"event_timestamp": pa.array([DAY.replace(tzinfo=None)] * 40, pa.timestamp("s"))},
    "times in nanoseconds elsewhere": {
        "event_timestamp": pa.array([DAY] * 40, pa.timestamp("ns", "Asia/Seoul"))
    },
    "days": {"event_timestamp": pa.array([DAY.date()] * 40)},
}


def test_equal_rows_in_another_representation_are_known(garden: Garden, rows: Rows) -> None:
    plain = {"height": HEIGHTS, "note": ["a"] * 40}
    assert garden.bring(rows(PLANTS, **plain)).new == 40
    for name, columns in REPRESENTATIONS.items():
        found = garden.bring(rows(PLANTS, **{**plain, **columns}))
        assert (found.new, found.known) == (0, 40), name


@pytest.mark.parametrize("step", [1, 7])
def test_other_values_are_news_in_any_representation(step: int, garden: Garden, rows: Rows) -> None:
    garden.bring(rows(PLANTS, height=HEIGHTS))
    other = [Decimal(str(value)) + Decimal(step).scaleb(-9) for value in HEIGHTS]
    assert garden.bring(rows(PLANTS, height=pa.array(other, pa.decimal128(38, 9)))).new == 40

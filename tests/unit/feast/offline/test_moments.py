from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.offline.moments import Moments
from tests.unit.feast.engine.columns import examples

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNITS = st.sampled_from(sorted(NANOSECONDS))
LAST = 2**63 - 1


def bounded(count: int) -> int:
    return min(max(count, -LAST - 1), LAST)


@examples
@given(
    count=st.integers(-(2**40), 2**40),
    unit=UNITS,
    wanted=UNITS,
    ttl=st.timedeltas(timedelta(microseconds=1), timedelta(days=40_000)),
)
def test_whole_counts_are_the_nearest_on_the_right_side(
    count: int, unit: str, wanted: str, ttl: timedelta
) -> None:
    moments = Moments.of(pa.array([count], pa.timestamp(unit, "UTC")))
    exact = Fraction(count * NANOSECONDS[unit], NANOSECONDS[wanted])
    span = Fraction(ttl // timedelta(microseconds=1) * 1_000, NANOSECONDS[wanted])

    if abs(exact) < 2**62 and abs(exact - span) < 2**62:
        assert moments.last(wanted).tolist() == [math.floor(exact)]
        if abs(count * NANOSECONDS[unit] - ttl / timedelta(microseconds=1) * 1_000) < 2**62:
            assert moments.first(wanted, ttl).tolist() == [math.ceil(exact - span)]


def test_what_64_bits_cannot_hold_becomes_the_last_that_they_can() -> None:
    year_9999 = Moments.of(pa.array([253_402_300_799], pa.timestamp("s", "UTC")))
    earliest = Moments.of(pa.array([-(2**63)], pa.timestamp("ns", "UTC")))

    assert year_9999.last("ns").tolist() == [LAST // 1_000 * 1_000]
    assert year_9999.last("s").tolist() == [253_402_300_799]
    assert earliest.first("ns", timedelta(days=999_999_999)).tolist() == [-(2**63)]


@pytest.mark.parametrize("unit", sorted(NANOSECONDS))
def test_a_missing_time_is_known_to_be_missing(unit: str) -> None:
    moments = Moments.of(pa.array([None, 5], pa.timestamp(unit)))

    assert moments.known.tolist() == [False, True]
    assert moments.counts.dtype == np.int64

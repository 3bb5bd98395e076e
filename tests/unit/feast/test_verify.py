"""When a value online is that of the history."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_ops.feast.verify import Difference, as_served, same_value


@pytest.mark.parametrize(
    ("stored", "feast_type", "served"),
    [
        (0.1, "Float32", 0.10000000149011612),
        (0.1, "Float64", 0.1),
        (math.inf, "Float32", math.inf),
        (None, "Float32", None),
        (2**53 + 1, "Int64", 2**53 + 1),
        ("ü", "String", "ü"),
        (True, "Bool", True),
    ],
)
def test_a_value_is_served_as_its_feature_type_says(stored: Any, feast_type: str, served: Any) -> None:
    assert same_value(as_served(stored, feast_type), served)


def test_a_double_is_not_the_float_it_was_rounded_to() -> None:
    assert not same_value(as_served(0.1, "Float32"), 0.1)


@pytest.mark.parametrize(("expected", "got"), [(None, math.nan), (math.nan, None), (math.nan, math.nan)])
def test_null_and_nan_are_one(expected: Any, got: Any) -> None:
    assert same_value(expected, got)


@pytest.mark.parametrize(("expected", "got"), [(None, 0), (0.0, None), (1, 2), ("a", "A"), (0, math.nan)])
def test_a_missing_value_is_not_a_zero(expected: Any, got: Any) -> None:
    assert not same_value(expected, got)


def test_a_time_is_served_in_whole_seconds() -> None:
    stored = datetime(2024, 5, 1, 12, 0, 0, 999, tzinfo=UTC)
    assert as_served(stored, "UnixTimestamp") == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_difference_names_key_feature_and_both_values() -> None:
    assert str(Difference(("north", 7), "left", 3, None)) == (
        "left of north/7 is None online, but 3 in the history"
    )

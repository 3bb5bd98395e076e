"""When a value online is that of the history."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from feature_ops.feast.served_values import as_served, same_value
from feature_ops.feast.verify import Difference


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
        ([0.1, 0.5], "Array(Float32)", [0.10000000149011612, 0.5]),
        ([], "Array(String)", []),
        (["b", "a", "b"], "Set(String)", {"a", "b"}),
        ('{"a":null}', "Map", {"a": None}),
        ({"a": None}, "Map", {"a": math.nan}),
        ('{"a": [1]}', "Json", {"a": [1]}),
        ({"age": 36}, "Struct({age: Int64})", {"age": 36.0}),
        ("9b2f0a52-0f3c-4e0e-9d43-5a9f0f6a7c11", "Uuid", UUID("9b2f0a52-0f3c-4e0e-9d43-5a9f0f6a7c11")),
        ("1.10", "Decimal", Decimal("1.1")),
    ],
)
def test_a_value_is_served_as_its_feature_type_says(stored: Any, feast_type: str, served: Any) -> None:
    assert same_value(as_served(stored, feast_type), served)


def test_a_double_is_not_the_float_it_was_rounded_to() -> None:
    assert not same_value(as_served(0.1, "Float32"), 0.1)


@pytest.mark.parametrize(("expected", "got"), [(None, math.nan), (math.nan, None), (math.nan, math.nan)])
def test_null_and_nan_are_one(expected: Any, got: Any) -> None:
    assert same_value(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (None, 0),
        (0.0, None),
        (1, 2),
        ("a", "A"),
        (0, math.nan),
        ([1], [1, 1]),
        ([None], [0]),
        ({"a": 1}, {"b": 1}),
        ({"a": None}, {"a": 0}),
        ({"a": 1}, {"a": 1, "b": None}),
    ],
)
def test_a_missing_value_is_not_a_zero(expected: Any, got: Any) -> None:
    assert not same_value(expected, got)


def test_a_time_is_served_in_whole_seconds() -> None:
    stored = datetime(2024, 5, 1, 12, 0, 0, 999, tzinfo=UTC)
    assert as_served(stored, "UnixTimestamp") == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_difference_names_key_feature_and_both_values() -> None:
    assert str(Difference(("north", 7), "left", 3, None)) == (
        "left of north/7 is None online, but 3 in the history"
    )

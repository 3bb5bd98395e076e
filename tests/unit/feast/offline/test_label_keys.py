from __future__ import annotations

import pyarrow as pa
import pytest

from feature_ops.feast.offline.label_keys import comparable_keys, why_not_comparable


@pytest.mark.parametrize(
    ("label", "source"),
    [
        (pa.array(["a", None]), pa.large_string()),
        (pa.array(["a", None]).dictionary_encode(), pa.string()),
        (pa.array(["a", None], pa.large_string()), pa.dictionary(pa.int32(), pa.string())),
        (pa.array([b"a", None]), pa.binary(1)),
        (pa.array([1, None], pa.int8()), pa.uint64()),
        (pa.array([True, None]), pa.bool_()),
        (pa.array([None, None]), pa.string()),
        (pa.array([None, None]), pa.int64()),
    ],
)
def test_keys_are_the_same_in_any_type_of_their_kind(label: pa.Array, source: pa.DataType) -> None:
    assert why_not_comparable(label.type, source) is None
    assert comparable_keys(label, source).to_pylist() == label.to_pylist()


def test_integers_that_pandas_made_floats_are_integers_again() -> None:
    labels = pa.array([1.0, -(2.0**63), 2.0**63, 0.5, float("nan"), float("inf"), None])

    assert why_not_comparable(labels.type, pa.int64()) is None
    assert comparable_keys(labels, pa.int64()).to_pylist() == [1, -(2**63), None, None, None, None, None]


@pytest.mark.parametrize(
    ("label", "source", "reason"),
    [
        (pa.int64(), pa.string(), "string in its source and int64 in the labels"),
        (pa.string(), pa.int64(), "int64 in its source and string in the labels"),
        (pa.float64(), pa.float64(), "double in its source"),
        (pa.timestamp("us"), pa.timestamp("us"), "timestamp[us] in its source"),
    ],
)
def test_other_keys_are_not_joined_here(label: pa.DataType, source: pa.DataType, reason: str) -> None:
    assert why_not_comparable(label, source) == reason

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.values import encode_scalars
from tests.unit.feast.engine.columns import SCALARS, beside_bytes, columns_of, examples


def stock(column: pa.Array, feast_type: str) -> list[bytes]:
    values = (beside_bytes(column) if feast_type.endswith("BYTES") else column).to_numpy(zero_copy_only=False)
    stored = [
        value.SerializeToString() for value in python_values_to_proto_values(values, ValueType[feast_type])
    ]
    return stored[: len(column)]


def without_numbers_that_pandas_rounds(feast_type: str, kind: pa.DataType, values: Any) -> Any:
    """Beside a null, an integer goes through a float in Feast: only those that it keeps are compared."""
    if feast_type in ("INT64", "INT32") and pa.types.is_integer(kind) and kind.bit_width == 64:
        return st.integers(-(2**53), 2**53)
    return values


@examples
@given(data=st.data())
@pytest.mark.parametrize("feast_type", sorted(SCALARS))
def test_each_value_is_stored_as_feast_stores_it(feast_type: str, data: st.DataObject) -> None:
    column = data.draw(columns_of(SCALARS[feast_type]))

    assert encode_scalars(column, feast_type).to_pylist() == stock(column, feast_type)


@examples
@given(data=st.data())
@pytest.mark.parametrize("feast_type", sorted(SCALARS))
def test_null_is_stored_as_feast_stores_it(feast_type: str, data: st.DataObject) -> None:
    choices = [
        (kind, st.none() | without_numbers_that_pandas_rounds(feast_type, kind, values))
        for kind, values in SCALARS[feast_type]
    ]
    column = data.draw(columns_of(choices))

    assert encode_scalars(column, feast_type).to_pylist() == stock(column, feast_type)


def test_an_integer_beside_a_null_keeps_its_last_digit() -> None:
    exact = encode_scalars(pa.array([2**63 - 1, None], pa.int64()), "INT64").to_pylist()

    assert exact == [*stock(pa.array([2**63 - 1], pa.int64()), "INT64"), b""]
    with pytest.raises(ValueError, match="out of range"):
        stock(pa.array([2**63 - 1, None], pa.int64()), "INT64")


def test_a_string_of_a_megabyte_is_stored_as_feast_stores_it() -> None:
    column = pa.array(["a", "b" * 1_000_000, None, "c"])

    assert encode_scalars(column, "STRING").to_pylist() == stock(column, "STRING")


@pytest.mark.parametrize(("kind", "feast_type"), [(pa.int64(), "INT32"), (pa.uint64(), "INT64")])
def test_an_integer_that_does_not_fit_is_refused(kind: pa.DataType, feast_type: str) -> None:
    with pytest.raises(pa.ArrowInvalid):
        encode_scalars(pa.array([2**63 - 1 if feast_type == "INT32" else 2**63], kind), feast_type)


def test_empty_byte_strings_are_no_nulls_even_if_a_batch_has_no_others() -> None:
    column = pa.array([b"", None], pa.binary())

    assert encode_scalars(column, "BYTES").to_pylist() == [b"\x0a\x00", b""]
    loses = python_values_to_proto_values(column.to_numpy(zero_copy_only=False), ValueType.BYTES)
    assert [value.SerializeToString() for value in loses] == [b"", b""]

from __future__ import annotations

import pyarrow as pa
import pytest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.features import accepts, encode_values
from tests.unit.feast.engine.columns import LISTS, columns_of, examples

SHAPES = [pa.list_, pa.large_list]


def stock(column: pa.Array, feast_type: str) -> list[bytes]:
    values = python_values_to_proto_values(column.to_numpy(zero_copy_only=False), ValueType[feast_type])
    return [value.SerializeToString() for value in values]


@examples
@given(data=st.data())
@pytest.mark.parametrize("feast_type", sorted(LISTS))
def test_each_list_is_stored_as_feast_stores_it(feast_type: str, data: st.DataObject) -> None:
    kind, elements = data.draw(st.sampled_from(LISTS[feast_type]))
    shape = data.draw(st.sampled_from(SHAPES))
    column = data.draw(columns_of([(shape(kind), st.none() | st.lists(elements, max_size=5))]))

    assert accepts(column.type, feast_type)
    assert encode_values(column, feast_type).to_pylist() == stock(column, feast_type)


def test_lists_of_one_size_are_stored_as_feast_stores_them() -> None:
    column = pa.array([[1.5, 2.5], None, [0.0, -0.0]], pa.list_(pa.float32(), 2))

    assert encode_values(column, "FLOAT_LIST").to_pylist() == stock(column, "FLOAT_LIST")


def test_a_null_among_integers_is_the_zero_that_feast_makes_of_none_in_a_list() -> None:
    column = pa.array([[2**63 - 1, None]], pa.list_(pa.int64()))
    zero = python_values_to_proto_values([[2**63 - 1, None]], ValueType.INT64_LIST)

    assert encode_values(column, "INT64_LIST").to_pylist() == [zero[0].SerializeToString()]
    with pytest.raises(TypeError):
        stock(column, "INT64_LIST")


def test_nanoseconds_in_a_list_are_left_to_feast() -> None:
    assert not accepts(pa.list_(pa.timestamp("ns")), "UNIX_TIMESTAMP_LIST")
    assert accepts(pa.timestamp("ns"), "UNIX_TIMESTAMP")

from __future__ import annotations

import pyarrow as pa
import pytest
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.features import encode_values
from feature_ops.feast.engine.value_texts import value_texts
from tests.unit.feast.engine.columns import SCALARS, columns_of, examples


@examples
@given(data=st.data())
@pytest.mark.parametrize("feast_type", sorted(SCALARS))
def test_the_text_of_a_value_is_what_feast_keeps_beside_it(feast_type: str, data: st.DataObject) -> None:
    choices = [(kind, st.none() | values) for kind, values in SCALARS[feast_type]]
    column = data.draw(columns_of(choices))

    texts = value_texts(column, feast_type).to_pylist()

    stored = [Value.FromString(value) for value in encode_values(column, feast_type).to_pylist()]
    assert texts == [extract_text_and_num(value, compute_num=False)[0] for value in stored]


def test_lists_have_no_text() -> None:
    assert value_texts(pa.array([[1]]), "INT64_LIST").to_pylist() == [None]

from __future__ import annotations

import pyarrow as pa
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.utils import _build_entity_keys, _columns_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.entity_keys import encode_entity_keys
from tests.unit.feast.engine.columns import KEYS, beside_bytes, columns_of, examples

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True)


def stock(columns: dict[str, tuple[pa.Array, str]]) -> list[bytes]:
    types = {name: ValueType[feast_type] for name, (_, feast_type) in columns.items()}
    values, rows = {}, 0
    for name, (column, feast_type) in columns.items():
        whole = beside_bytes(column) if feast_type == "BYTES" else column
        batch, rows = pa.record_batch({name: whole}), len(column)
        values |= _columns_to_proto_values(batch, [(name, types[name])])
    return [serialize_entity_key(key) for key in _build_entity_keys(rows, types, values)]


@examples
@given(data=st.data(), names=NAMES, rows=st.integers(0, 8))
def test_keys_of_any_types_are_serialized_as_feast_does_it(
    data: st.DataObject, names: list[str], rows: int
) -> None:
    columns = {}
    for name in names:
        feast_type = data.draw(st.sampled_from(sorted(KEYS)))
        columns[name] = (data.draw(columns_of(KEYS[feast_type], rows)), feast_type)

    assert encode_entity_keys(columns).to_pylist() == stock(columns)


def test_the_key_of_a_view_without_entities_is_that_of_feast() -> None:
    columns = {"__dummy_id": (pa.array(["", ""]), "STRING")}

    assert encode_entity_keys(columns).to_pylist() == stock(columns)


def test_a_key_that_is_null_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="join key song is null in 1 rows"):
        encode_entity_keys({"song": (pa.array(["a", None]), "STRING")})

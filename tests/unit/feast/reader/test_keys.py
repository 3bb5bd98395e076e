"""Entity keys are serialized to the bytes that Feast serializes them to."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.reader.keys import encode_column, head_of

KINDS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "STRING": ("string_val", st.text(st.characters(codec="utf-8"), max_size=300)),
    "BYTES": ("bytes_val", st.binary(max_size=300)),
    "INT32": ("int32_val", st.integers(-(2**31), 2**31 - 1)),
    "INT64": ("int64_val", st.integers(-(2**63), 2**63 - 1)),
}


@given(data=st.data(), kinds=st.dictionaries(st.text(min_size=1), st.sampled_from(sorted(KINDS)), min_size=1))
def test_keys_of_any_join_keys_have_the_bytes_of_feast(data: st.DataObject, kinds: dict[str, str]) -> None:
    values = {name: data.draw(KINDS[kind][1]) for name, kind in kinds.items()}
    expected = serialize_entity_key(
        EntityKey(
            join_keys=list(kinds),
            entity_values=[Value(**{KINDS[kind][0]: values[name]}) for name, kind in kinds.items()],
        ),
        3,
    )
    names = sorted(kinds)
    parts = [encode_column([values[name]], kinds[name]) for name in names]
    assert head_of(names) + b"".join(part[0] for part in parts if part) == expected


@pytest.mark.parametrize(
    ("values", "value_type"),
    [
        ([1], "STRING"),
        ([True], "INT64"),
        (["1"], "INT64"),
        ([None], "STRING"),
        ([1.0], "DOUBLE"),
        ([], "STRING"),
    ],
)
def test_values_that_are_not_of_the_plain_type_are_left_to_feast(values: list[Any], value_type: str) -> None:
    assert encode_column(values, value_type) is None


def test_a_number_beyond_its_type_is_refused() -> None:
    with pytest.raises(struct.error):
        encode_column([2**31], "INT32")

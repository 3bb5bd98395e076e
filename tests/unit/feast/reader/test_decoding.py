"""Stored values and times are decoded to what Feast makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.value_type import ValueType
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.reader.decoding import decode_time, decoder_of, row_decoder_of

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
# What has a place in datetime, and null.
SECONDS = st.integers(-62_135_596_800, 253_402_300_799) | st.just(-(2**63))
TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bytes_val": st.binary(max_size=300),
    "string_val": TEXT,
    "int32_val": INT32,
    "int64_val": INT64,
    "double_val": st.floats(),
    "float_val": st.floats(width=32),
    "bool_val": st.booleans(),
    "unix_timestamp_val": SECONDS,
    "null_val": st.just(0),
    "uuid_val": st.uuids().map(str),
    "decimal_val": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "json_val": TEXT,
}
LISTS: dict[str, st.SearchStrategy[Any]] = {
    "string_list_val": TEXT,
    "int64_list_val": INT64,
    "double_list_val": st.floats(),
    "unix_timestamp_list_val": SECONDS,
}
TYPES = [
    "BYTES",
    "STRING",
    "INT32",
    "INT64",
    "DOUBLE",
    "FLOAT",
    "BOOL",
    "UNIX_TIMESTAMP",
    "INT64_LIST",
    "JSON",
]
OF_TYPE = {
    "BYTES": "bytes_val",
    "STRING": "string_val",
    "INT32": "int32_val",
    "INT64": "int64_val",
    "DOUBLE": "double_val",
    "FLOAT": "float_val",
    "BOOL": "bool_val",
    "UNIX_TIMESTAMP": "unix_timestamp_val",
}


def stored(kind: str) -> st.SearchStrategy[bytes]:
    if kind in SCALARS:
        return SCALARS[kind].map(lambda value: Value(**{kind: value}).SerializeToString())

    def message(values: list[Any]) -> bytes:
        made = Value()
        getattr(made, kind).val.extend(values)
        return bytes(made.SerializeToString())

    return st.lists(LISTS[kind], max_size=3).map(message)


ANY = st.sampled_from([*SCALARS, *LISTS]).flatmap(stored)


def as_feast(column: list[bytes | None], value_type: str) -> list[str]:
    kind = ValueType[value_type]
    return [
        repr(feast_value_type_to_python_type(Value.FromString(raw), kind) if raw else None) for raw in column
    ]


def decoded(column: list[bytes | None], value_type: str) -> tuple[list[str], list[str]]:
    decoder = decoder_of(value_type)
    return [repr(value) for value in decoder.column(column)], [repr(decoder.one(raw)) for raw in column]


@given(data=st.data(), value_type=st.sampled_from(sorted(OF_TYPE)), gaps=st.booleans())
def test_values_of_the_declared_type_are_what_feast_makes_of_them(
    data: st.DataObject, value_type: str, gaps: bool
) -> None:
    values = stored(OF_TYPE[value_type])
    column = data.draw(st.lists(values | st.sampled_from([None, b""]) if gaps else values, max_size=6))
    assert decoded(column, value_type) == (as_feast(column, value_type),) * 2


@given(data=st.data(), types=st.lists(st.sampled_from(["FLOAT", "DOUBLE", *TYPES]), max_size=9))
def test_a_row_of_several_features_is_what_feast_makes_of_each(data: st.DataObject, types: list[str]) -> None:
    usual = data.draw(st.booleans())
    row = [
        data.draw(stored(OF_TYPE[kind]) if usual and kind in OF_TYPE else ANY | st.sampled_from([None, b""]))
        for kind in types
    ]
    expected = [as_feast([raw], kind)[0] for raw, kind in zip(row, types, strict=True)]
    assert [repr(value) for value in row_decoder_of(types)(row)] == expected


@given(column=st.lists(ANY | st.none(), max_size=6), value_type=st.sampled_from(TYPES))
def test_values_of_another_type_than_the_declared_one_are_what_feast_makes_of_them(
    column: list[bytes | None], value_type: str
) -> None:
    """As they are after a definition's type was changed."""
    assert decoded(column, value_type) == (as_feast(column, value_type),) * 2


@given(identifier=st.uuids(), value_type=st.sampled_from(["UUID", "TIME_UUID"]))
def test_identifiers_stored_as_text_are_identifiers(identifier: Any, value_type: str) -> None:
    column = [Value(string_val=str(identifier)).SerializeToString(), None]
    assert decoded(column, value_type) == (as_feast(column, value_type),) * 2
    assert decoded(column, value_type)[0][0] == repr(identifier)


@given(first=ANY, second=ANY, value_type=st.sampled_from(TYPES))
def test_the_last_of_several_fields_counts_as_it_does_in_protobuf(
    first: bytes, second: bytes, value_type: str
) -> None:
    column: list[bytes | None] = [first + second, second]
    assert decoded(column, value_type) == (as_feast(column, value_type),) * 2


@given(raw=st.binary(min_size=1, max_size=12), value_type=st.sampled_from(TYPES))
def test_bytes_that_are_no_value_are_refused_as_protobuf_refuses_them(raw: bytes, value_type: str) -> None:
    decoder = decoder_of(value_type)
    try:
        expected = as_feast([raw], value_type)
    except (DecodeError, OverflowError, ValueError, OSError) as error:
        for decode in (lambda: decoder.one(raw), lambda: decoder.column([raw])):
            with pytest.raises(type(error)):
                decode()
    else:
        assert [repr(decoder.one(raw))] == expected
        assert [repr(value) for value in decoder.column([raw])] == expected


@given(
    moment=st.datetimes(datetime(1, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),
    nanos=st.integers(0, 999),
)
def test_times_are_those_that_feast_reads(moment: datetime, nanos: int) -> None:
    message = Timestamp()
    message.FromDatetime(moment)
    message.nanos += nanos
    seconds = message.seconds + message.nanos / 1_000_000_000.0
    assert decode_time(message.SerializeToString()) == datetime.fromtimestamp(seconds, tz=UTC)


def test_no_time_is_1970_as_for_feast() -> None:
    assert decode_time(None) == decode_time(b"") == datetime(1970, 1, 1, tzinfo=UTC)

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from feast.utils import _coerce_datetime, make_tzaware
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given

from feature_ops.feast.engine.event_times import encode_timestamps, to_microseconds
from tests.unit.feast.engine.columns import TIMES, columns_of, examples


def stock(column: pa.Array) -> list[bytes]:
    stored = []
    for value in pd.to_datetime(column.to_numpy(zero_copy_only=False)):
        timestamp = Timestamp()
        timestamp.FromDatetime(make_tzaware(_coerce_datetime(value)))
        stored.append(timestamp.SerializeToString())
    return stored


@examples
@given(column=columns_of(TIMES))
def test_event_times_are_stored_as_feast_stores_them(column: pa.Array) -> None:
    assert encode_timestamps(to_microseconds(column)).to_pylist() == stock(column)

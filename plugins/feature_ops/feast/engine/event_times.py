"""
Event times as online stores keep them: to the microsecond, in UTC.

Feast makes Python datetimes of them, which know no nanoseconds; a time without a zone is UTC.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.wire import EMPTY, VARINT, Ints, tag, to_ints, varints

_PER_SECOND = 1_000_000


def to_microseconds(column: pa.Array) -> Ints:
    """Return timestamps in microseconds since 1970, rounded down; 0 where they are null."""
    numbers = to_ints(column.cast(pa.int64()))
    unit = column.type.unit
    if unit == "ns":
        return numbers // 1_000
    return numbers * {"s": _PER_SECOND, "ms": 1_000, "us": 1}[unit]


def encode_timestamps(microseconds: Ints) -> pa.LargeBinaryArray:
    """
    Return times as serialized ``google.protobuf.Timestamp`` messages.

    Fields that are 0 are left out, as protobuf does.
    """
    seconds, rest = np.divmod(microseconds, _PER_SECOND)
    nanos = rest * 1_000
    return pc.binary_join_element_wise(
        varints(seconds, tag(1, VARINT), seconds != 0), varints(nanos, tag(2, VARINT), nanos != 0), EMPTY
    )

"""A value of the history as the online store serves it, and whether two values are one."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def as_served(value: Any, feast_type: str) -> Any:
    """
    Return a value of the history as the online store serves it.

    :param feast_type: the feature's type, such as ``Float32`` or ``Array(Int64)``.
    """
    if value is None:
        return None
    kind, _, inner = feast_type.partition("(")
    if kind in ("Array", "Set"):
        found = [as_served(one, inner[:-1]) for one in value]
        return set(found) if kind == "Set" else found
    if kind == "Float32":
        # Rounded as its four bytes are.
        return struct.unpack("f", struct.pack("f", value))[0] if math.isfinite(value) else value
    if kind == "UnixTimestamp" and isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0)
    if kind in ("Json", "Map", "Struct") and isinstance(value, str):
        return json.loads(value)
    if kind in ("Uuid", "TimeUuid"):
        return UUID(value)
    return Decimal(value) if kind == "Decimal" else value


def same_value(expected: Any, got: Any) -> bool:
    """Return whether two values are one; null and NaN are, as Feast does not tell them apart."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same_value(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same_value, expected, got))
    return bool(expected == got) or (_is_null(expected) and _is_null(got))


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))

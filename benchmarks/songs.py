"""The view that several benchmarks load and read: songs with 13 features."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

FLOATS = [f"float_{number}" for number in range(9)]
INTEGERS = [f"integer_{number}" for number in range(3)]
VIEW = "songs"


def songs_of(source: Any) -> list[Any]:
    """Return the entity and its view, whose rows are those of a Feast source."""
    from feast import Entity, FeatureView, Field
    from feast.types import Bool, Float32, Int64, String
    from feast.value_type import ValueType

    song = Entity(name="song", join_keys=["song"], value_type=ValueType.STRING)
    types = {**dict.fromkeys(FLOATS, Float32), **dict.fromkeys(INTEGERS, Int64), "explicit": Bool}
    fields = [Field(name=name, dtype=dtype) for name, dtype in {"song": String, **types}.items()]
    return [song, FeatureView(name=VIEW, entities=[song], ttl=timedelta(0), schema=fields, source=source)]

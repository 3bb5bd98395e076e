"""What the features describe."""

from __future__ import annotations

from feast import Entity, ValueType

music = Entity(
    name="music",
    join_keys=["spotify_id"],
    value_type=ValueType.STRING,
    description="A song, by its Spotify id",
)

"""The features of a song."""

from __future__ import annotations

from datetime import timedelta

from entities import music
from feast import FeatureView, Field
from feast.types import Bool, Float32, Int64, String
from sources import song_properties_source

song_properties = FeatureView(
    name="song_properties",
    entities=[music],
    ttl=timedelta(0),
    schema=[
        # Declared, so that the definitions can be applied before the first file arrives.
        Field(name="spotify_id", dtype=String),
        Field(name="is_explicit", dtype=Bool),
        Field(name="duration_ms", dtype=Int64),
        Field(name="danceability", dtype=Float32),
        Field(name="energy", dtype=Float32),
        Field(name="key", dtype=Int64),
        Field(name="loudness", dtype=Float32),
        Field(name="mode", dtype=Int64),
        Field(name="speechiness", dtype=Float32),
        Field(name="acousticness", dtype=Float32),
        Field(name="instrumentalness", dtype=Float32),
        Field(name="liveness", dtype=Float32),
        Field(name="valence", dtype=Float32),
        Field(name="tempo", dtype=Float32),
    ],
    source=song_properties_source,
    description="Audio properties of a song",
)

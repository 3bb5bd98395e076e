"""Where the features' history lives."""

from __future__ import annotations

from feast import FileSource
from feast.data_format import ParquetFormat

song_properties_source = FileSource(
    name="song_properties_source",
    path="s3://data/song_properties/",
    file_format=ParquetFormat(),
    timestamp_field="event_timestamp",
    # Two versions of a song with one event time have an order: the later ingested wins.
    created_timestamp_column="ingested_at",
    description="Append-only history of song properties, written by song_properties_etl",
)

"""The dataset of songs and their audio properties, as it is ingested and kept."""

from __future__ import annotations

from feature_ops.datasets.dataset import Column, ColumnType, Dataset

SONG_PROPERTIES = Dataset(
    name="song_properties",
    keys=("spotify_id",),
    feature_service="serving_fs",
    timestamp_aliases=("snapshot_date",),
    columns=(
        Column(name="spotify_id", type=ColumnType.STRING),
        Column(name="name", type=ColumnType.STRING, nullable=True),
        Column(name="artists", type=ColumnType.STRING, nullable=True),
        Column(name="is_explicit", type=ColumnType.BOOL),
        Column(name="duration_ms", type=ColumnType.INT64, ge=0),
        Column(name="danceability", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="energy", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="key", type=ColumnType.INT64, ge=-1, le=11),
        Column(name="loudness", type=ColumnType.DOUBLE, ge=-60, le=10),
        Column(name="mode", type=ColumnType.INT64, ge=0, le=1),
        Column(name="speechiness", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="acousticness", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="instrumentalness", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="liveness", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="valence", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="tempo", type=ColumnType.DOUBLE, ge=0, le=300),
        Column(name="time_signature", type=ColumnType.INT64, ge=0, le=7, nullable=True),
    ),
)

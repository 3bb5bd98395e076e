"""A feature repository of songs in a folder: its history, its service, and rankings to train on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Bool, Float32, Int64, String

FEATURES = {
    "is_explicit": Bool,
    "danceability": Float32,
    "energy": Float32,
    "loudness": Float32,
    "key": Int64,
    "acousticness": Float32,
    "valence": Float32,
}
VIEW, SERVICE = "song_properties", "serving_fs"
CONFIGURATION = """\
project: music
provider: local
registry:
  registry_type: file
  path: {folder}/registry.db
  cache_ttl_seconds: 0
offline_store:
  type: file
online_store:
  type: sqlite
  path: {folder}/online.db
entity_key_serialization_version: 3
"""


class FeatureRepository:
    """
    What Feast has at one commit.

    :param folder: that it is made in.
    :param history: folder or ``s3://…`` prefix of the history's parquet files.
    """

    def __init__(self, folder: Path, history: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.history = folder, history
        (folder / "feature_store.yaml").write_text(CONFIGURATION.format(folder=folder))

    def apply(self, served: Sequence[str], declared: Sequence[str] = tuple(FEATURES)) -> None:
        """Apply a view with the declared features and a service with the served ones."""
        entity = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
        source = FileSource(
            name="songs",
            path=self.history,
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="ingested_at",
        )
        view = FeatureView(
            name=VIEW,
            entities=[entity],
            ttl=timedelta(0),
            schema=[
                Field(name="spotify_id", dtype=String),
                *(Field(name=name, dtype=FEATURES.get(name, Float32)) for name in declared),
            ],
            source=source,
        )
        service = FeatureService(name=SERVICE, features=[view[list(served)]])
        FeatureStore(repo_path=str(self.folder)).apply([entity, source, view, service])


def history_rows(songs: pd.DataFrame) -> pd.DataFrame:
    """Return songs as the ETL keeps them."""
    seen = songs["event_timestamp"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    return songs.assign(event_timestamp=seen, ingested_at=seen + pd.Timedelta(hours=1))

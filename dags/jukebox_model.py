"""The Jukebox model: in which countries will a song be a hit?"""

from __future__ import annotations

from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model

JUKEBOX = Model(
    name="jukebox",
    feature_service="serving_fs",
    code_path="model",
    command=("-m", "jukebox", "train"),
    arguments={"rankings": f"{get_settings().storage_uri}/song_rankings/rankings.parquet"},
)

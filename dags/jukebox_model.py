"""The Jukebox model: in which countries will a song be a hit?"""

from __future__ import annotations

from feature_ops.settings import get_settings
from feature_ops.training.declaration import Metric, Model

JUKEBOX = Model(
    name="jukebox",
    feature_service="serving_fs",
    code_path="model",
    command=("-m", "jukebox", "train"),
    arguments={"rankings": f"{get_settings().storage_uri}/song_rankings/rankings.parquet"},
    description=(
        "Predicts the countries in which a song is ranked, from the audio features of the song. The alias "
        "`champion` is in production, the alias `test` on the test service."
    ),
    metrics={
        "log_loss": Metric(title="Log-loss", better="lower"),
        "top1": Metric(title="Top-1 accuracy", better="higher", percent=True),
        "top5": Metric(title="Top-5 accuracy", better="higher", percent=True),
        "top5_new_songs": Metric(title="Top-5 accuracy, new songs", better="higher", percent=True),
        "calibration_error": Metric(title="Calibration error", better="lower", percent=True),
    },
)

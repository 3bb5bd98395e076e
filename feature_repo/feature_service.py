"""The features that the model asks for: comment a line out, push, and a new model follows."""

from __future__ import annotations

from feast import FeatureService
from features import song_properties

serving_fs = FeatureService(
    name="serving_fs",
    features=[
        song_properties[
            [
                "is_explicit",
                "duration_ms",
                "danceability",
                "energy",
                "key",
                "loudness",
                "mode",
                "speechiness",
                "acousticness",
                "instrumentalness",
                "liveness",
                "valence",
                "tempo",
            ]
        ]
    ],
    description="What the Jukebox model is trained on and served with",
)

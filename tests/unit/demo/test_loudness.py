"""The reference's claim holds in any catalogue: a model without loudness is not worse than one with it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from demo.rankings import rankings
from feature_ops.settings import Settings
from feature_ops.training.gates import Gates, Judgement, judge
from feature_ops.training.result import TrainingResult
from jukebox.comparison import compare
from jukebox.fit import fit
from jukebox.metrics import Scores, worst_country
from jukebox.split import held_out
from tests.catalogues import LOUDNESS, generated, real

FEATURES = ["is_explicit", "duration_ms", "danceability", "energy", "key", "loudness", "mode"]
FEATURES += ["speechiness", "acousticness", "instrumentalness", "liveness", "valence", "tempo"]
WITHOUT_LOUDNESS = [name for name in FEATURES if name != "loudness"]
# A fifth of the limit: the gates pass with a margin, whatever the sample.
MARGIN = 0.2


@pytest.mark.parametrize("name", LOUDNESS)
def test_charts_are_the_same_whatever_the_loudness_of_a_song_is(name: str) -> None:
    songs = generated(name, 400)
    charts = rankings(songs, rows=4_000)

    shuffled = songs.assign(loudness=songs["loudness"].sample(frac=1, random_state=2).to_numpy())
    pd.testing.assert_frame_equal(rankings(shuffled, rows=4_000), charts)
    pd.testing.assert_frame_equal(rankings(songs.drop(columns="loudness"), rows=4_000), charts)
    # Energy, which has a weight, does change them.
    quiet = songs.assign(energy=songs["energy"].sample(frac=1, random_state=2).to_numpy())
    assert not rankings(quiet, rows=4_000).equals(charts)


def test_the_default_gates_accept_a_model_without_loudness_and_refuse_one_without_what_counts() -> None:
    trial = Trial(generated("independent of energy", 2_000), rows=24_000)
    without_loudness = trial.judged(WITHOUT_LOUDNESS, share=MARGIN)
    assert without_loudness.accepted, without_loudness.summary
    assert not trial.judged(["mode"]).accepted


def test_the_default_gates_accept_a_model_without_loudness_on_the_real_catalogue() -> None:
    songs = real()
    trial = Trial(songs.sample(min(3_000, len(songs)), random_state=1), rows=36_000)
    judgement = trial.judged(WITHOUT_LOUDNESS, share=MARGIN)
    assert judgement.accepted, judgement.summary


class Trial:
    """
    A champion on thirteen features, and challengers on fewer, judged as the DAG does it.

    :param rows: about how many rankings to make of the songs.
    """

    def __init__(self, songs: pd.DataFrame, rows: int) -> None:
        self._songs = songs.drop_duplicates("spotify_id").set_index("spotify_id")
        self._labels = rankings(songs, rows=rows)
        self._held_out = held_out(self._labels)
        self._champion = self._scores(FEATURES)

    def judged(self, features: list[str], share: float = 1.0) -> Judgement:
        """
        Train on these features, compare, and judge by the default gates.

        :param share: of the default limit of log-loss that is allowed.
        """
        champion, challenger = self._champion, self._scores(features)
        ids = self._labels["spotify_id"].to_numpy(dtype=str)[self._held_out]
        result: dict[str, Any] = {
            "run_id": "r",
            "artifact_uri": "a",
            "rows": {"test": int(self._held_out.sum())},
            "features": features,
            "metrics": challenger.metrics(),
            "champion": {"version": "1", "metrics": champion.metrics()},
            "comparison": compare(challenger, champion, ids, seed=42),
            "countries": {"worst": worst_country(challenger.by_country(), champion.by_country())},
            "git_commit": "c",
            "dataset_version": "d",
            "definition_hash": "h",
            "seconds": 1,
        }
        settings = Settings()
        increase = settings.gate_log_loss_increase * share
        gates = Gates(increase, settings.gate_recall_drop, settings.gate_top5_minimum)
        return judge(TrainingResult.read(json.dumps(result), "here"), gates)

    def _scores(self, features: list[str]) -> Scores:
        """Fit on the rows that are not held out, and score those that are."""
        known = self._songs[features].loc[self._labels["spotify_id"]]
        values = known.astype("float64").astype("float32").to_numpy()
        countries = self._labels["country"].to_numpy(dtype=str)
        test = self._held_out
        model = fit(values[~test], countries[~test])
        return Scores(model.predict_proba(values[test]), np.asarray(model[-1].classes_), countries[test])

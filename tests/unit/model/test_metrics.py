"""Measures are what a hand would reckon, and comparisons say how sure they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jukebox.comparison import compare
from jukebox.metrics import Scores, worst_country

CLASSES = np.array(["AR", "BR", "CL", "DE", "EC", "FR", "GB"])


def answered(*rows: tuple[str, list[float]]) -> Scores:
    """Return answers: what was right, and the chances."""
    return Scores(np.array([chances for _, chances in rows]), CLASSES, np.array([right for right, _ in rows]))


def test_measures_are_reckoned_by_row() -> None:
    scores = answered(
        ("AR", [0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02]),
        ("EC", [0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02]),
        ("GB", [0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02]),
        ("BR", [0.2, 0.5, 0.1, 0.08, 0.06, 0.04, 0.02]),
    )
    assert scores.place.tolist() == [1, 5, 7, 1]
    found = scores.metrics()
    assert found["top1"] == 0.5
    assert found["top5"] == 0.75
    assert found["log_loss"] == pytest.approx(-np.log([0.4, 0.06, 0.02, 0.5]).mean())
    # Groups of one row each: |0.4 - 1|, |0.4 - 0| twice, |0.5 - 1|.
    assert found["calibration_error"] == pytest.approx((0.6 + 0.4 + 0.4 + 0.5) / 4)


def test_a_country_that_the_model_does_not_know_is_a_miss_and_not_infinite() -> None:
    scores = answered(("US", [0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02]), ("AR", [1, 0, 0, 0, 0, 0, 0]))
    assert scores.place.tolist() == [8, 1]
    assert scores.metrics()["log_loss"] == pytest.approx(-np.log(1e-6) / 2)


def test_what_is_promised_and_kept_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([0.3] * len(CLASSES), 20_000)
    right = CLASSES[(chances.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(max=6)]
    assert Scores(chances, CLASSES, right).calibration_error() < 0.015
    sure = chances**3 / (chances**3).sum(axis=1, keepdims=True)
    assert Scores(sure, CLASSES, right).calibration_error() > 0.1


def test_each_country_has_a_row() -> None:
    uniform = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    table = answered(
        ("AR", uniform), ("BR", uniform), ("BR", [0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1])
    ).by_country()
    assert table["rows"].to_dict() == {"AR": 1, "BR": 2}
    assert table["recall1"].to_dict() == {"AR": 1.0, "BR": 0.5}


def by_country(**recalls: tuple[int, float]) -> pd.DataFrame:
    return pd.DataFrame(recalls, index=["rows", "recall5"]).T


def test_the_worst_country_is_the_one_that_fell_most() -> None:
    now = by_country(AR=(100, 0.5), BR=(100, 0.3), CL=(3, 0.0))
    assert worst_country(now, None) == {"country": "BR", "recall5": 0.3, "champion_recall5": None}
    before = by_country(AR=(100, 0.8), BR=(100, 0.3), CL=(3, 1.0))
    assert worst_country(now, before) == {"country": "AR", "recall5": 0.5, "champion_recall5": 0.8}


def test_few_rows_in_all_countries_are_compared_all_the_same() -> None:
    assert worst_country(by_country(AR=(4, 0.5), BR=(4, 0.2)), None)["country"] == "BR"


def two_models(rows: int, better: float) -> tuple[Scores, Scores, np.ndarray]:
    """Return a challenger that gives the right country so much more, a champion, and whose row each is."""
    rng = np.random.default_rng(1)
    right = CLASSES[rng.integers(0, len(CLASSES), rows)]
    chances = rng.dirichlet([1.0] * len(CLASSES), rows)
    more = chances + better * (right[:, None] == CLASSES)
    songs = np.array([f"song {number}" for number in rng.integers(0, rows // 10, rows)])
    challenger = Scores(more / more.sum(axis=1, keepdims=True), CLASSES, right)
    return challenger, Scores(chances, CLASSES, right), songs


def test_a_model_equals_itself() -> None:
    _, champion, songs = two_models(500, 0)
    assert compare(champion, champion, songs, seed=1) == {
        "log_loss": {"difference": 0, "low": 0, "high": 0},
        "top5": {"difference": 0, "low": 0, "high": 0},
    }


def test_a_better_model_is_better_for_sure_and_the_other_way_round() -> None:
    challenger, champion, songs = two_models(2000, 0.2)
    found = compare(challenger, champion, songs, seed=1)
    loss = found["log_loss"]
    assert loss["low"] < loss["difference"] < loss["high"] < 0 < found["top5"]["low"]
    difference = challenger.metrics()["log_loss"] - champion.metrics()["log_loss"]
    assert loss["difference"] == pytest.approx(difference)
    assert compare(champion, challenger, songs, seed=1)["log_loss"]["low"] > 0


def test_rows_of_one_song_count_as_one_observation() -> None:
    challenger, champion, _ = two_models(2000, 0.05)
    order = np.argsort(challenger.surprise - champion.surprise)
    alike = np.empty(2000, dtype="<U9")
    alike[order] = [f"song {number // 50}" for number in range(2000)]
    alone = np.array([f"song {number}" for number in range(2000)])
    wide, narrow = (compare(challenger, champion, songs, seed=1)["log_loss"] for songs in (alike, alone))
    assert wide["high"] - wide["low"] > 4 * (narrow["high"] - narrow["low"])


def test_the_same_seed_gives_the_same_limits() -> None:
    models = two_models(500, 0.1)
    assert compare(*models, seed=1) == compare(*models, seed=1) != compare(*models, seed=2)

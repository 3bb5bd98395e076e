"""The model finds what is there, as scikit-learn's own fit would, and answers the same as ONNX."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from jukebox.errors import TrainingError
from jukebox.fit import fit
from jukebox.metrics import Scores
from jukebox.onnx_export import Graph, check_equal, export

COUNTRIES = np.array(["AR", "BR", "KR"])


def drawn(rows: int, seed: int = 0, songs: int = 0, rare: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw features and labels.

    Argentina likes the middle of the first feature, Brazil its ends, and Korea what has the second.

    :param songs: how many distinct rows of features there are; 0: all are distinct.
    :param rare: how often Korea is ranked, against what its taste alone would say.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(songs or rows, 2))
    features = features[rng.integers(0, len(features), rows)] if songs else features
    scores = np.column_stack([-(features[:, 0] ** 2), features[:, 0] ** 2 - 2, 2 * features[:, 1]])
    odds = np.exp(scores) * [1, 1, rare]
    chances = odds / odds.sum(axis=1, keepdims=True)
    return features, COUNTRIES[(chances.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)]


def scores(model: Pipeline, features: np.ndarray, countries: np.ndarray) -> Scores:
    """Ask a model."""
    return Scores(model.predict_proba(features), model[-1].classes_, countries)


def test_a_taste_for_the_middle_of_a_range_is_found() -> None:
    model = fit(*drawn(8000))
    fresh = scores(model, *drawn(4000, seed=1)).metrics()
    assert fresh["top1"] > 0.7
    assert fresh["log_loss"] < 0.72
    assert fresh["calibration_error"] < 0.03


@pytest.mark.parametrize("songs", [0, 150])
def test_it_is_the_optimum_that_scikit_learn_finds(songs: int) -> None:
    features, countries = drawn(3000, songs=songs)
    model = fit(features, countries, penalty=1e-9)
    inputs = model[:-1].transform(features)
    theirs = LogisticRegression(C=1e6, max_iter=3000, tol=1e-8, class_weight="balanced").fit(
        inputs, countries
    )
    # Weighing labels moves the intercepts by the logarithm of the weight.
    theirs.intercept_ += np.log(np.unique(countries, return_counts=True)[1] / len(countries))
    np.testing.assert_allclose(model.predict_proba(features), theirs.predict_proba(inputs), atol=0.005)


def test_a_rare_country_is_not_lost_and_not_promised_too_much() -> None:
    features, countries = drawn(30_000, rare=0.02)
    share = (countries == "KR").mean()
    assert share < 0.1
    model = fit(features, countries)
    fresh_features, fresh = drawn(30_000, seed=1, rare=0.02)
    chances = model.predict_proba(fresh_features)[:, 2]
    assert abs(chances.mean() - (fresh == "KR").mean()) < 0.005
    liked = fresh_features[:, 1] > 2
    assert chances[liked].mean() > 5 * chances[~liked].mean()


def test_the_same_rows_give_the_same_model() -> None:
    first, second = (export(fit(*drawn(2000)), 2).body for _ in range(2))
    assert first == second


def test_onnx_answers_the_same_also_for_missing_values_and_outliers() -> None:
    features, countries = drawn(2000)
    model = fit(features, countries)
    hard = np.vstack([features, [[np.nan, 0], [np.nan, np.nan], [1e9, -1e9], [-1e30, 1e30]]]).astype(
        "float32"
    )
    graph = export(model, 2)
    assert check_equal(graph, model, hard) <= 1e-5
    answers = graph.probabilities(hard)
    assert answers.shape == (2004, 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_missing_value_counts_as_the_median() -> None:
    model = fit(*drawn(2000))
    medians = model["medians"].statistics_
    np.testing.assert_allclose(
        model.predict_proba([[np.nan, np.nan]]), model.predict_proba([medians]), rtol=1e-12
    )


def test_features_that_tell_nothing_do_no_harm() -> None:
    features, countries = drawn(3000)
    nothing = np.full(len(features), np.nan)
    constant, doubled = np.ones(len(features)), features[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(np.column_stack([features, nothing, constant, doubled]), countries)
    fresh, right = drawn(2000, seed=1)
    more = np.column_stack([fresh, np.full((2000, 1), np.nan), np.ones((2000, 1)), fresh[:, 0]])
    assert scores(model, more, right).metrics()["top1"] > 0.68
    check_equal(export(model, 5), model, more)


def test_two_countries_are_enough() -> None:
    features, countries = drawn(3000)
    two = countries != "KR"
    model = fit(features[two], countries[two])
    graph = export(model, 2)
    assert check_equal(graph, model, features) <= 1e-5
    answers = Scores(graph.probabilities(features[two]), model[-1].classes_, countries[two])
    assert answers.metrics()["top1"] > 0.8


def test_an_onnx_model_that_differs_is_refused() -> None:
    features, countries = drawn(500)
    model, other = fit(features, countries), fit(*drawn(500, seed=3))
    with pytest.raises(TrainingError, match="differs from the fitted one"):
        check_equal(Graph(export(other, 2).body), model, features)

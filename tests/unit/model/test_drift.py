"""How far what is asked for has moved from what was trained on, in numbers that anybody can check."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from jukebox.drift import Bins, bins_of

RANDOM = np.random.default_rng(7)


def test_the_index_is_what_is_worked_out_by_hand() -> None:
    # Two bins of values beside the outer ones and the missing: 50 % and 50 % became 80 % and 20 %.
    bins = Bins((0.0, 1.0, 2.0), (0.0, 0.5, 0.5, 0.0, 0.0))
    asked = np.array([0.5] * 8 + [1.5] * 2)
    by_hand = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert bins.stability_index(asked) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.4159, abs=1e-4)


def test_the_same_values_have_not_moved() -> None:
    values = RANDOM.normal(size=5000)
    assert Bins.of(values).stability_index(values) == pytest.approx(0, abs=1e-9)


def test_the_bins_are_tenths_and_numpy_counts_the_same() -> None:
    values = RANDOM.normal(size=2000)
    bins = Bins.of(values)
    assert np.array(bins.shares[1:-2]) == pytest.approx(0.1, abs=0.001)
    assert (bins.shares[0], bins.shares[-2], bins.shares[-1]) == (0, 0, 0)

    asked = RANDOM.normal(0.5, 1.5, size=3000)
    counts, _ = np.histogram(asked, bins=[-np.inf, *bins.edges, np.inf])
    share, trained = np.maximum(counts / 3000, 1e-4), np.maximum(np.array(bins.shares[:-1]), 1e-4)
    assert bins.stability_index(asked) == pytest.approx(
        float(((share - trained) * np.log(share / trained)).sum())
    )


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0, 0.1), (0.3, 0.05, 0.25), (1.0, 0.25, 3)])
def test_the_usual_limits_tell_chance_from_drift(shift: float, least: float, most: float) -> None:
    bins = Bins.of(RANDOM.normal(size=20_000))
    assert least <= bins.stability_index(RANDOM.normal(shift, 1, size=1000)) <= most


def test_missing_values_are_a_bin_of_their_own() -> None:
    bins = Bins.of(np.array([1.0, 2.0, 3.0, np.nan]))
    assert bins.shares[-1] == 0.25
    assert bins.stability_index(np.array([1.0, 2.0, 3.0, np.nan])) == pytest.approx(0)
    assert bins.stability_index(np.full(10, np.nan)) > 1


@pytest.mark.parametrize("values", [[0.0, 1.0] * 50, [0, 1, 2, 11] * 25, [5.0] * 100, [-7.25] * 100])
def test_few_values_keep_their_bins_when_they_are_rounded(values: list[float]) -> None:
    trained = np.array(values, dtype=np.float32)
    rounded = np.array([float(f"{value * (1 + 1e-7):.7g}") for value in values])
    assert Bins.of(trained).stability_index(rounded) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("away", [4.0, 6.0])
def test_a_feature_that_was_always_the_same_shows_that_it_moved(away: float) -> None:
    assert Bins.of(np.full(100, 5.0)).stability_index(np.full(100, away)) > 1


@pytest.mark.parametrize("away", [-1000.0, 1000.0])
def test_values_that_training_never_saw_show(away: float) -> None:
    values = RANDOM.normal(size=1000)
    assert Bins.of(values).stability_index(np.append(values[:900], np.full(100, away))) > 0.5


def test_a_feature_that_was_missing_everywhere_has_bins_too() -> None:
    bins = Bins.of(np.full(10, np.nan))
    assert (bins.edges, bins.shares) == ((), (0.0, 1.0))
    assert bins.stability_index(np.array([1.0, 2.0])) > 1


def test_they_are_the_same_after_a_way_through_json() -> None:
    values = RANDOM.normal(size=(500, 2))
    kept = json.loads(json.dumps(bins_of(values, ["energy", "tempo"])))
    for at, name in enumerate(("energy", "tempo")):
        found = Bins.from_json(kept[name])
        assert found.edges == Bins.of(values[:, at]).edges
        assert found.shares == pytest.approx(Bins.of(values[:, at]).shares, abs=1e-6)


@pytest.mark.parametrize(
    "kept",
    [
        {"edges": [1.0], "shares": [1.0, 0.0]},
        {"edges": [2.0, 1.0], "shares": [0, 1, 0, 0]},
        {"edges": ["x"], "shares": [1, 0, 0]},
    ],
)
def test_what_does_not_fit_is_refused(kept: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"bins|float"):
        Bins.from_json(kept)

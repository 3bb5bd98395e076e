"""Challenger against champion on the same rows, with how sure that is."""

from __future__ import annotations

import numpy as np

from jukebox.metrics import Scores

_DRAWS = 1000
_SURE = (2.5, 97.5)


def compare(
    challenger: Scores, champion: Scores, songs: np.ndarray, seed: int
) -> dict[str, dict[str, float]]:
    """
    Return ``difference``, ``low`` and ``high``, challenger minus champion, of ``log_loss`` and ``top5``.

    The limits hold 95 % of a bootstrap over songs: the rows of one song go up and down together, so that
    drawing rows would promise more than is known.

    :param songs: whose row each is.
    :param seed: of the draws.
    """
    codes = np.unique(songs, return_inverse=True)[1]
    draws = _draws(int(codes.max()) + 1, seed)
    differences = {
        "log_loss": challenger.surprise - champion.surprise,
        "top5": challenger.within(5) - champion.within(5),
    }
    rows = np.bincount(codes).astype("float64")
    return {
        name: _interval(each.mean(), draws @ np.bincount(codes, weights=each) / (draws @ rows))
        for name, each in differences.items()
    }


def _draws(songs: int, seed: int) -> np.ndarray:
    """Return how often each song is in each draw."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((_DRAWS, songs), dtype="float32")
    for row in drawn:
        row[:] = np.bincount(rng.integers(0, songs, songs), minlength=songs)
    return drawn


def _interval(difference: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(drawn, _SURE)
    return {"difference": float(difference), "low": float(low), "high": float(high)}

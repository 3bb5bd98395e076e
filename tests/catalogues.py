"""Catalogues of songs in which loudness and energy go together in different ways, and the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from demo.songs import catalogue

# Not resolved: a checkout may be reached by a link, next to which the shared folder is.
REAL = Path(__file__).absolute().parents[2] / "shared" / "data" / "small_song_properties.parquet"


def _with_loudness(songs: pd.DataFrame, loudness: np.ndarray) -> pd.DataFrame:
    return songs.assign(loudness=np.clip(loudness, -60, 10))


def _noise(songs: pd.DataFrame) -> np.ndarray:
    return np.random.default_rng(5).normal(size=len(songs))


LOUDNESS: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "as generated": lambda songs: songs,
    "independent of energy": lambda songs: _with_loudness(songs, -7 + 3 * _noise(songs)),
    "a line of energy": lambda songs: _with_loudness(songs, -20 + 20 * songs["energy"]),
    "a curve of energy": lambda songs: _with_loudness(
        songs, -30 * (1 - songs["energy"]) ** 3 + _noise(songs)
    ),
    "against energy": lambda songs: _with_loudness(songs, -10 * songs["energy"] + _noise(songs)),
    "with valence, not energy": lambda songs: _with_loudness(songs, -15 + 10 * songs["valence"]),
    "the same for all": lambda songs: _with_loudness(songs, np.full(len(songs), -7.0)),
}


def generated(name: str, songs: int) -> pd.DataFrame:
    """Return some of the generated songs with a loudness of that name."""
    return LOUDNESS[name](catalogue().sample(songs, random_state=1).reset_index(drop=True))


def real() -> pd.DataFrame:
    """Return the real catalogue; skips the test where there is none."""
    if not REAL.exists():
        pytest.skip(f"{REAL} does not exist: the real catalogue is not part of the repository")
    return pd.read_parquet(REAL).rename(columns=str.lower).reset_index(drop=True)

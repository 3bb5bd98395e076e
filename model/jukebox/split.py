"""Which rows are learned from, and which are held out to measure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jukebox.errors import TrainingError
from jukebox.labels import COUNTRY, DAY

HELD_OUT = 0.2


def held_out(rows: pd.DataFrame, share: float = HELD_OUT) -> np.ndarray:
    """
    Tell which rows are held out: those of the last days, as a mask.

    A day is never divided: a song that is ranked in forty countries on one day has the same features forty
    times, and would otherwise be on both sides. Features come from before the day of their label, so that
    nothing of the held-out days is known in training.

    :param share: of the rows that are held out at least; days are taken from the end until it is reached.
    :raises TrainingError: nothing would be left to learn from, or only one country.
    """
    days = rows[DAY].dt.floor("D")
    counts = days.value_counts().sort_index(ascending=False)
    first = counts.index[int(np.searchsorted(counts.cumsum().to_numpy(), share * len(rows)))]
    mask = np.asarray(days >= first)
    learned = rows[COUNTRY][~mask].nunique()
    if learned < 2:
        raise TrainingError(
            f"before {first:%Y-%m-%d}, from when on rankings are held out, there are "
            f"{'none' if not learned else 'those of one country only'}: add rankings of earlier days"
        )
    return mask

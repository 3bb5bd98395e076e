"""What is held out lies after all that is learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jukebox.errors import TrainingError
from jukebox.split import held_out


def rows(*per_day: int, countries: str = "AB") -> pd.DataFrame:
    """Return so many rows for each day, countries in turn, at different hours."""
    days = [
        pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day, hours=place % 24)
        for day, count in enumerate(per_day)
        for place in range(count)
    ]
    return pd.DataFrame(
        {"snapshot_date": days, "country": [countries[place % len(countries)] for place in range(len(days))]}
    )


@pytest.mark.parametrize(
    ("per_day", "held"),
    [((10, 10, 10, 10, 10), 10), ((10, 10, 10, 10, 9), 19), ((70, 10, 10, 10), 20), ((30, 0, 70), 70)],
)
def test_the_last_days_that_have_a_fifth_of_the_rows_are_held_out(
    per_day: tuple[int, ...], held: int
) -> None:
    assert held_out(rows(*per_day)).sum() == held


def test_no_day_is_on_both_sides() -> None:
    for seed in range(20):
        some = rows(*np.random.default_rng(seed).integers(2, 40, 12))
        mask = held_out(some.sample(frac=1, random_state=seed))
        days = some.sample(frac=1, random_state=seed)["snapshot_date"].dt.floor("D")
        assert days[~mask].max() < days[mask].min()


def test_nothing_left_to_learn_from_is_told() -> None:
    with pytest.raises(TrainingError, match=r"before 2024-01-01, .* there are none"):
        held_out(rows(10))
    late = pd.concat([rows(50, countries="A"), rows(0, 50)], ignore_index=True)
    with pytest.raises(TrainingError, match="those of one country only"):
        held_out(late)

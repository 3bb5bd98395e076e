"""How good probabilities of countries are, on rows whose country is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

# What a model gave no chance costs this much; also the resolution of its answers.
_LEAST = 1e-6
_BINS = 15
# Countries with fewer held-out rows are not compared: their recall is mostly chance.
ENOUGH_ROWS = 50


@dataclass(frozen=True)
class Scores:
    """
    A model's answers on the held-out rows.

    :param probabilities: [rows, classes].
    :param classes: the countries that the model knows.
    :param countries: what was right, one for each row; may be one that the model doesn't know.
    """

    probabilities: np.ndarray
    classes: np.ndarray
    countries: np.ndarray

    @cached_property
    def chance(self) -> np.ndarray:
        """What each row's country was given: 0 if the model doesn't know it."""
        at = {country: index for index, country in enumerate(self.classes)}
        right = np.array([at.get(country, -1) for country in self.countries])
        given = self.probabilities[np.arange(len(right)), right].astype("float64")
        return np.where(right < 0, 0.0, given)

    @cached_property
    def place(self) -> np.ndarray:
        """At which place each row's country is, from 1; after the last if it is unknown."""
        above = (self.probabilities > self.chance[:, None].astype(self.probabilities.dtype)).sum(axis=1)
        return np.where(self.chance > 0, above + 1, len(self.classes) + 1)

    @cached_property
    def surprise(self) -> np.ndarray:
        """Log-loss of each row."""
        loss: np.ndarray = -np.log(np.maximum(self.chance, _LEAST))
        return loss

    def within(self, places: int) -> np.ndarray:
        """Whether each row's country is among the first places, as 0 or 1."""
        return (self.place <= places).astype("float64")

    def metrics(self) -> dict[str, float]:
        """Return ``top1``, ``top5``, ``log_loss`` and ``calibration_error``."""
        return {
            "top1": float(self.within(1).mean()),
            "top5": float(self.within(5).mean()),
            "log_loss": float(self.surprise.mean()),
            "calibration_error": self.calibration_error(),
        }

    def reliability(self) -> pd.DataFrame:
        """
        Compare what the first place was given with how often it was right.

        Rows are in as many groups of the same size, by what was given: ``given``, ``right``, ``rows``.
        """
        given = self.probabilities.max(axis=1).astype("float64")
        groups = np.array_split(np.argsort(given, kind="stable"), min(_BINS, len(given)))
        right = self.within(1)
        return pd.DataFrame(
            [(given[group].mean(), right[group].mean(), len(group)) for group in groups],
            columns=["given", "right", "rows"],
        )

    def calibration_error(self) -> float:
        """Return how far on average the first place's chance is from how often it is right."""
        table = self.reliability()
        return float(np.average((table["given"] - table["right"]).abs(), weights=table["rows"]))

    def by_country(self) -> pd.DataFrame:
        """Return ``rows``, ``recall1``, ``recall5`` and ``log_loss`` of each country, by its code."""
        table = pd.DataFrame(
            {
                "country": self.countries,
                "recall1": self.within(1),
                "recall5": self.within(5),
                "log_loss": self.surprise,
            }
        ).groupby("country")
        found: pd.DataFrame = table.mean()
        found.insert(0, "rows", table.size())
        return found


def worst_country(challenger: pd.DataFrame, champion: pd.DataFrame | None) -> dict[str, object]:
    """
    Return the country whose recall among the first five fell most, or is lowest if there is no champion.

    :param challenger: table by country of the new model.
    :param champion: that of the one before, on the same rows.
    """
    enough = challenger[challenger["rows"] >= min(ENOUGH_ROWS, int(challenger["rows"].max()))]
    now = enough["recall5"]
    if champion is None:
        country = str(now.idxmin())
        return {"country": country, "recall5": float(now[country]), "champion_recall5": None}
    before = champion["recall5"].reindex(now.index)
    country = str((now - before).idxmin())
    return {
        "country": country,
        "recall5": float(now[country]),
        "champion_recall5": float(before[country]),
    }

"""
How far what a model is asked for has moved from what it was trained on, feature by feature.

The measure is the population stability index: both are counted in the same bins, and for each bin
``(asked - trained) * ln(asked / trained)`` of the shares is summed up. Below 0.1 is taken for no drift,
above 0.25 for one that a model should be trained anew for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_QUANTILES = np.arange(1, 10) / 10
# A share of nothing has no logarithm.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Bins:
    """
    How one feature was distributed in the training set.

    Tenths of the rows, fewer where values repeat; a bin below the least and one above the greatest value
    that was seen; one more for missing values.

    :param edges: between the bins of values, ascending.
    :param shares: of the training's rows in each bin; the last is the missing values'.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> Bins:
        """Return the bins of a feature's values in the training set; NaN is a missing one."""
        edges = _edges(np.asarray(values, dtype="float64"))
        return cls(tuple(edges.tolist()), tuple(_shares(values, edges).tolist()))

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Bins:
        """
        Return what :meth:`to_json` gave.

        :raises ValueError: edges and shares do not fit each other.
        """
        edges, shares = tuple(map(float, kept["edges"])), tuple(map(float, kept["shares"]))
        if len(shares) != len(edges) + 2 or list(edges) != sorted(edges):
            raise ValueError(f"{len(edges)} edges do not make {len(shares)} bins")
        return cls(edges, shares)

    def to_json(self) -> dict[str, list[float]]:
        """Return it as plain JSON."""
        return {"edges": list(self.edges), "shares": [round(share, 6) for share in self.shares]}

    def stability_index(self, values: np.ndarray) -> float:
        """Return the population stability index of other values of the feature: 0 for the same shares."""
        asked = np.maximum(_shares(values, np.array(self.edges)), _LEAST_SHARE)
        trained = np.maximum(np.array(self.shares), _LEAST_SHARE)
        return float(np.sum((asked - trained) * np.log(asked / trained)))


def bins_of(values: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """
    Return the bins of a whole training set as JSON, by the feature's name.

    :param values: one column for each name.
    """
    return {name: Bins.of(values[:, at]).to_json() for at, name in enumerate(names)}


def _edges(values: np.ndarray) -> np.ndarray:
    seen = values[np.isfinite(values)]
    distinct = np.unique(seen)
    if not distinct.size:
        return distinct
    # Half-way between values that were seen: one that is rounded on its way must not change its bin.
    between = (distinct[1:] + distinct[:-1]) / 2
    ends = np.searchsorted(distinct, np.quantile(seen, _QUANTILES, method="lower"))
    inner = between[np.unique(ends[ends < between.size])]
    gaps = np.diff(distinct) if distinct.size > 1 else np.array([max(abs(float(distinct[0])), 1.0) / 1000])
    return np.concatenate(([distinct[0] - gaps[0] / 2], inner, [distinct[-1] + gaps[-1] / 2]))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype="float64")
    known = ~np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[known]), minlength=len(edges) + 1)
    return np.append(counts, (~known).sum()) / max(len(values), 1)

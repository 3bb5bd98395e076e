"""Which features a model relies on."""

from __future__ import annotations

import numpy as np

from jukebox.metrics import Scores
from jukebox.onnx_export import Graph

_SAMPLE = 3000


def by_permutation(
    graph: Graph, classes: np.ndarray, features: np.ndarray, countries: np.ndarray, seed: int
) -> np.ndarray:
    """
    Return by how much the log-loss rises if one feature's values are shuffled, for each feature.

    :param features: held-out rows; at most 3,000 of them are used.
    """
    rng = np.random.default_rng(seed)
    sample = rng.permutation(len(features))[:_SAMPLE]
    features, countries = features[sample], countries[sample]

    def loss(values: np.ndarray) -> float:
        return float(Scores(graph.probabilities(values), classes, countries).surprise.mean())

    whole, increases = loss(features), []
    for column in range(features.shape[1]):
        shuffled = features.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        increases.append(loss(shuffled) - whole)
    return np.array(increases)

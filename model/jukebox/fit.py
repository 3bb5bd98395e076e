"""
The model: each country prefers a region of the space of features.

A multinomial logistic regression over the features and their products: the logarithm of a country's odds is
a quadratic function of the features, so that a country may prefer the middle of a range, or energy only
where the tempo is low. It answers with probabilities that can be believed, is fitted to its one optimum in
seconds, and a small graph of matrix products computes it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

# Beyond these shares of a feature's values it is taken as being at the edge: squares of outliers would rule.
_EDGES = (0.001, 0.999)
# Songs are what is learned from, so that with fewer of them coefficients must be smaller.
_PENALTY_PER_SONG = 10.0


def fit(features: np.ndarray, countries: np.ndarray, penalty: float | None = None) -> Pipeline:
    """
    Learn which countries songs with such features are ranked in.

    :param features: one row for each label; NaN where a value is missing: its feature's median stands in.
    :param countries: the labels.
    :param penalty: weight of the squared coefficients against the mean log-loss; None: by how many songs.
    """
    classes, labels = np.unique(countries, return_inverse=True)
    songs, counts = _distinct(features, labels, len(classes))
    inputs = _inputs(features)
    penalty = _PENALTY_PER_SONG / len(songs) if penalty is None else penalty
    regression = _regression(inputs.transform(songs), counts, classes, penalty)
    return Pipeline([*inputs.steps, ("regression", regression)])


def _inputs(features: np.ndarray) -> Pipeline:
    medians = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
    present = medians.transform(features)
    edges = MinMaxScaler(clip=True).fit(np.quantile(present, _EDGES, axis=0))
    scale = StandardScaler().fit(edges.transform(present))
    products = PolynomialFeatures(degree=2, include_bias=False).fit(present[:1])
    return Pipeline([("medians", medians), ("edges", edges), ("scale", scale), ("products", products)])


def _distinct(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the distinct rows, and how often each has each label.

    The rows of a song differ in their labels only. Its likelihood needs the counts alone, which is a tenth
    of the work.
    """
    frame = pd.DataFrame(features)
    group = frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    cells = np.bincount(group * classes + labels, minlength=len(first) * classes)
    return features[first], cells.reshape(len(first), classes).astype("float64")


def _regression(
    inputs: np.ndarray, counts: np.ndarray, classes: np.ndarray, penalty: float
) -> LogisticRegression:
    """
    Fit with every country weighing the same, then give each its share back.

    Otherwise what a small country prefers would be lost to the penalty. Weighing labels shifts nothing but
    the intercepts, by the logarithm of the weight; shifting them back keeps the probabilities those of what
    is really ranked.
    """
    shares = counts.sum(axis=0) / counts.sum()
    weighted = counts / (shares * len(classes))
    mean, whiten = _whitening(inputs, weighted.sum(axis=1))
    found, rounds = _optimum((inputs - mean) @ whiten, weighted, penalty)
    coefficients = whiten @ found[:-1]
    intercepts = found[-1] - mean @ coefficients + np.log(shares)
    regression = LogisticRegression()
    regression.classes_ = classes
    regression.coef_ = np.ascontiguousarray(coefficients.T)
    regression.intercept_ = intercepts
    if len(classes) == 2:  # scikit-learn then keeps the second against the first
        regression.coef_ = regression.coef_[1:] - regression.coef_[:1]
        regression.intercept_ = intercepts[1:] - intercepts[:1]
    regression.n_features_in_ = inputs.shape[1]
    regression.n_iter_ = np.array([rounds])
    return regression


def _whitening(inputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and matrix that make inputs uncorrelated: the optimum is then near in all directions."""
    mean = np.average(inputs, axis=0, weights=weights)
    spread, directions = np.linalg.eigh(np.cov(inputs, rowvar=False, aweights=weights))
    # What is a sum of others, as the square of a truth value is, is left out.
    kept = spread > spread[-1] * 1e-6
    return mean, directions[:, kept] / np.sqrt(spread[kept])


def _optimum(inputs: np.ndarray, weighted: np.ndarray, penalty: float) -> tuple[np.ndarray, int]:
    """Return the coefficients, the intercepts as their last row, and the rounds it took."""
    columns, classes = inputs.shape[1], weighted.shape[1]
    rows, total = weighted.sum(axis=1, keepdims=True), weighted.sum()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(columns + 1, classes)
        scores = inputs @ weights[:-1] + weights[-1]
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        sums = odds.sum(axis=1, keepdims=True)
        likelihood = (weighted * scores).sum() - (rows * np.log(sums)).sum()
        residual = odds * (rows / sums) - weighted
        gradient = np.vstack([inputs.T @ residual, residual.sum(axis=0)]) / total
        gradient[:-1] += penalty * weights[:-1]
        return float(penalty / 2 * (weights[:-1] ** 2).sum() - likelihood / total), gradient.ravel()

    start = np.zeros((columns + 1) * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-7})
    return found.x.reshape(columns + 1, classes), int(found.nit)

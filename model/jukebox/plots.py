"""Pictures of how good a model is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jukebox.metrics import Scores

_INK = "#2f5d8a"


def confusion(scores: Scores, path: Path) -> None:
    """Draw which country comes first in the answers, for each country that was right."""
    at = {country: index for index, country in enumerate(scores.classes)}
    known = np.array([country in at for country in scores.countries])
    right = np.array([at[country] for country in scores.countries[known]])
    first = scores.probabilities[known].argmax(axis=1)
    size = len(scores.classes)
    table = np.bincount(right * size + first, minlength=size * size).reshape(size, size)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = max(5, 2 + size * 0.13)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues")
    axes.set(title="Which country comes first", xlabel="answered", ylabel="right")
    axes.set_xticks(range(size), scores.classes, fontsize=5, rotation=90)
    axes.set_yticks(range(size), scores.classes, fontsize=5)
    figure.colorbar(image, label="share of the country's rows", shrink=0.7)
    figure.savefig(path, dpi=110)


def reliability(scores: Scores, path: Path) -> None:
    """Draw how often the first place is right against the chance that it was given."""
    table = scores.reliability()
    top = float(table[["given", "right"]].to_numpy().max()) * 1.05
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, top], [0, top], color="0.7", linestyle="--", label="as promised")
    axes.plot(table["given"], table["right"], color=_INK, marker="o", label="held-out rows")
    axes.set(title=f"Reliability, error {scores.calibration_error():.4f}", xlabel="given", ylabel="right")
    axes.legend()
    figure.savefig(path, dpi=110)


def importance(names: Sequence[str], increases: np.ndarray, path: Path) -> None:
    """Draw by how much the log-loss rises if a feature's values are shuffled."""
    table = pd.Series(increases, index=list(names)).sort_values()
    figure = Figure(figsize=(6, 1 + 0.3 * len(table)), layout="constrained")
    axes = figure.subplots()
    axes.barh(table.index, table.to_numpy(), color=_INK)
    axes.set(title="Feature importance", xlabel="rise of the log-loss if shuffled")
    figure.savefig(path, dpi=110)

"""What the model was asked for lately, for comparison with what it was trained on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from jukebox.serving.models import Model
from jukebox.serving.predictions import Prediction

MOST_ROWS = 10_000
_NAN = float("nan")


class Asked:
    """
    The features of the last songs that were asked for: a ring of rows, of bounded size.

    Adding a row is all that a request pays for; what is made of it is made when somebody wants to know.

    :param most: rows that are kept.
    """

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._refs: tuple[str, ...] = ()
        self._rows = np.empty((0, 0), dtype=np.float32)
        self._count = 0
        self._lock = threading.Lock()

    def add(self, model: Model, answers: Sequence[Prediction]) -> None:
        """Note what a model was given; a model with other features begins anew."""
        found = (_values(model, answer) for answer in answers)
        rows = [row for row in found if row is not None][-self._most :]
        if not rows:
            return
        with self._lock:
            refs = tuple(feature.ref for feature in model.features)
            if refs != self._refs:
                self._refs, self._count = refs, 0
                self._rows = np.empty((self._most, len(refs)), dtype=np.float32)
            places = (self._count + np.arange(len(rows))) % self._most
            self._rows[places] = rows
            self._count += len(rows)

    def rows(self, model: Model) -> np.ndarray:
        """Return a copy of the rows in the order of the model's inputs; none if it was not asked yet."""
        refs = tuple(feature.ref for feature in model.features)
        with self._lock:
            if refs != self._refs:
                return np.empty((0, len(refs)), dtype=np.float32)
            return self._rows[: min(self._count, self._most)].copy()


def _values(model: Model, answer: Prediction) -> list[float] | None:
    """Return a song's features as the model was given them; None where the answer does not tell."""
    if answer.outcome == "answered":
        return [_NAN if item["value"] is None else item["value"] for item in answer.content["features"]]
    # Each of its features is null.
    return [_NAN] * len(model.features) if answer.outcome == "empty" else None

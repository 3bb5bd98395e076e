"""
Loader of the model for MLflow's ``python_function`` flavor.

A copy of this file is logged with each model, so it imports nothing of this package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd


class JukeboxModel:
    """
    Probabilities of countries for rows of features.

    :param folder: with ``model.onnx`` and ``model.json``.
    """

    def __init__(self, folder: Path) -> None:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self._names = [feature["name"] for feature in description["features"]]
        self._classes = list(description["classes"])
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
        )

    def predict(self, model_input: Any, params: Any = None) -> pd.DataFrame:
        """
        Return one row of probabilities for each row of features, one column per country.

        :param model_input: a data frame with the features' names as columns. Null values and missing columns
            count as missing features.
        """
        frame = pd.DataFrame(model_input).reindex(columns=self._names)
        rows = frame.where(frame.notna(), np.nan).astype("float32").to_numpy()
        found = self._session.run(["probabilities"], {"features": np.ascontiguousarray(rows)})[0]
        return pd.DataFrame(found, columns=self._classes, index=frame.index)


def _load_pyfunc(path: str) -> JukeboxModel:
    """Load the model; the name is MLflow's."""
    return JukeboxModel(Path(path))

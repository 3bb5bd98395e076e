"""The model as ONNX: one graph from raw features to probabilities."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.pipeline import Pipeline

from jukebox.errors import TrainingError

INPUT, OUTPUT = "features", "probabilities"
TOLERANCE = 1e-5


class Graph:
    """
    An ONNX model that is asked for probabilities.

    :param body: the serialized model; features go in as float32 [rows, features], NaN where one is missing.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Its own choice would bind threads to processors, which the sandbox refuses.
        options.intra_op_num_threads = os.cpu_count() or 1
        self._session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return one row of probabilities for each row of features."""
        found: np.ndarray = self._session.run([OUTPUT], {INPUT: features.astype("float32")})[0]
        return found


def export(model: Pipeline, features: int) -> Graph:
    """Convert a fitted model with that many inputs."""
    converted = convert_sklearn(
        model,
        name="jukebox",
        initial_types=[(INPUT, FloatTensorType([None, features]))],
        options={id(model[-1]): {"zipmap": False}},
    )
    return Graph(select_model_inputs_outputs(converted, OUTPUT).SerializeToString())


def check_equal(graph: Graph, model: Pipeline, features: np.ndarray) -> float:
    """
    Return the largest difference of a probability between the graph and the fitted model.

    :raises TrainingError: it is above 1e-5, or one answers with what is no number.
    """
    difference = float(np.abs(graph.probabilities(features) - model.predict_proba(features)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"the ONNX model differs from the fitted one by {difference:.2g}, more than {TOLERANCE:g}: "
            "look at the ranges of the features"
        )
    return difference

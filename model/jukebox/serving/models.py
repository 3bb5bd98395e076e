"""A model as training left it: ``model.onnx`` beside ``model.json``, proven before it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from jukebox.drift import Bins
from jukebox.serving.problems import RefusedError

MODEL, CARD = "model.onnx", "model.json"
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Feature:
    """
    One input of a model.

    :param ref: what the feature store calls it, such as ``song_properties:energy``.
    :param name: what people call it.
    :param type: its type in the feature store.
    """

    ref: str
    name: str
    type: str


@dataclass(frozen=True)
class Model:
    """
    A model that is loaded and has passed its self-test.

    :param features: its inputs, in the order of the graph's columns.
    :param classes: countries, in the order of the graph's probabilities.
    :param facts: where it comes from: ``git_commit``, ``dataset_version``, ``service``, ``definition_hash``.
    :param bins: how each input was distributed in the training set; None if training did not tell.
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    facts: dict[str, Any]
    bins: tuple[Bins, ...] | None
    _session: Any

    @classmethod
    def load(cls, folder: Path) -> Model:
        """
        Load the model in a folder and let it answer what it answered when it was trained.

        :raises RefusedError: it can't be read, doesn't fit its card or answers otherwise.
        """
        card = _card(folder / CARD)
        try:
            features = tuple(
                Feature(str(item["ref"]), str(item["name"]), str(item["type"])) for item in card["features"]
            )
            classes = tuple(str(name) for name in card["classes"])
            inputs, expected = dict(card["self_test"]["inputs"]), dict(card["self_test"]["probabilities"])
            kept = card.get("bins")
            bins = None if kept is None else tuple(Bins.from_json(kept[item.name]) for item in features)
        except (KeyError, TypeError, ValueError) as error:
            raise RefusedError(f"its {CARD} is not complete: {type(error).__name__} {error}") from None
        facts = {
            name: card.get(name) for name in ("git_commit", "dataset_version", "service", "definition_hash")
        }
        model = cls(features, classes, facts, bins, _session(folder / MODEL))
        model._test(inputs, expected)
        return model

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """
        Return one row of probabilities for each row of features.

        :param values: float32, one column for each feature; NaN where the store holds null.
        """
        answer: np.ndarray = self._session.run(["probabilities"], {"features": values})[0]
        return answer

    def _test(self, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
        missing = [feature.name for feature in self.features if feature.name not in inputs]
        if missing or set(expected) != set(self.classes):
            raise RefusedError(
                f"its self-test does not fit its inputs or classes (inputs without value: {missing})"
            )
        row = [
            float("nan") if inputs[item.name] is None else float(inputs[item.name]) for item in self.features
        ]
        try:
            answer = self.probabilities(np.array([row], dtype=np.float32))
        except Exception as error:  # whatever ONNX Runtime raises, the model can't answer
            raise RefusedError(f"it failed in its self-test: {_first_line(error)}") from None
        if answer.shape != (1, len(self.classes)):
            raise RefusedError(
                f"it answered its self-test in the shape {answer.shape}, not (1, {len(self.classes)})"
            )
        wanted = np.array([float(expected[name]) for name in self.classes])
        apart = np.abs(answer[0] - wanted)
        if not (apart <= TOLERANCE).all():  # NaN compares false, and is refused as well
            worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
            raise RefusedError(
                f"it failed its self-test: {self.classes[worst]} got {answer[0][worst]:.6f} "
                f"instead of {wanted[worst]:.6f}"
            )


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefusedError(f"it has no {CARD}") from None
    except ValueError as error:
        raise RefusedError(f"its {CARD} is not JSON: {error}") from None
    if not isinstance(card, dict) or card.get("format") != 1:
        raise RefusedError(f"its {CARD} is not of format 1")
    return card


def _session(path: Path) -> Any:
    if not path.is_file():
        raise RefusedError(f"it has no {MODEL}")
    options = onnxruntime.SessionOptions()
    # A song's row is small: more threads would only wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of ONNX Runtime's errors is a class of its own
        raise RefusedError(f"ONNX Runtime can't load it: {_first_line(error)}") from None
    return session


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

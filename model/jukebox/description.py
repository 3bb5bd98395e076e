"""``model.json``: what a model needs to be asked, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jukebox.drift import bins_of
from jukebox.errors import TrainingError
from jukebox.training_set import Feature

FORMAT = 1
GRAPH_FILE, DESCRIPTION_FILE = "model.onnx", "model.json"


@dataclass(frozen=True)
class Description:
    """
    What stands beside a model's graph.

    :param features: its inputs, in their order.
    :param classes: the countries, in the order of its output.
    :param origin: service, definition_hash, git_commit and dataset_version.
    """

    features: Sequence[Feature]
    classes: Sequence[str]
    origin: dict[str, str]

    def text(
        self, example: np.ndarray, probabilities: np.ndarray, medians: np.ndarray, trained: np.ndarray
    ) -> str:
        """
        Return the JSON.

        :param example: one row of features with nothing missing, by which a service tests itself.
        :param probabilities: what the graph answers to it.
        :param medians: what stands in for missing features.
        :param trained: the rows that it was learned from; their distribution is what drift is told against.
        """
        names = [feature.name for feature in self.features]
        return json.dumps(
            {
                "format": FORMAT,
                "features": [asdict(feature) for feature in self.features],
                "classes": list(self.classes),
                **self.origin,
                "self_test": {
                    "inputs": dict(zip(names, map(float, example), strict=True)),
                    "probabilities": dict(zip(self.classes, map(float, probabilities), strict=True)),
                },
                "medians": dict(zip(names, map(float, medians), strict=True)),
                "bins": bins_of(trained, names),
            },
            indent=1,
        )


def read(text: str, where: str) -> tuple[list[Feature], list[str]]:
    """
    Return inputs and countries of a model.

    :param where: named if it can't be read.
    :raises TrainingError: the text is no description of a format known here.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        if found["format"] != FORMAT:
            raise TrainingError(f"{where} has format {found['format']}, {FORMAT} is known: train it anew")
        features = [Feature(one["ref"], one["name"], one["type"]) for one in found["features"]]
        return features, [str(country) for country in found["classes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{where} is no description of a model ({error!r}): train it anew") from None

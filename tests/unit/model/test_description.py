"""What stands beside a model is read back as it was written, or refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jukebox.description import Description, read
from jukebox.errors import TrainingError
from jukebox.training_set import Feature

FEATURES = [
    Feature("song_properties:energy", "energy", "Float32"),
    Feature("song_properties:is_explicit", "is_explicit", "Bool"),
]
ORIGIN = {"service": "serving_fs", "definition_hash": "h", "git_commit": "c", "dataset_version": "d"}


def written() -> str:
    return Description(FEATURES, ["AR", "NA"], ORIGIN).text(
        np.array([0.5, 1.0], dtype="float32"),
        np.array([0.25, 0.75]),
        np.array([0.6, 0.0]),
        trained=np.array([[0.5, 1.0], [0.5, np.nan]]),
    )


def test_it_has_inputs_countries_origin_and_a_self_test() -> None:
    assert json.loads(written()) == {
        "format": 1,
        "features": [
            {"ref": "song_properties:energy", "name": "energy", "type": "Float32"},
            {"ref": "song_properties:is_explicit", "name": "is_explicit", "type": "Bool"},
        ],
        "classes": ["AR", "NA"],
        **ORIGIN,
        "self_test": {
            "inputs": {"energy": 0.5, "is_explicit": 1.0},
            "probabilities": {"AR": 0.25, "NA": 0.75},
        },
        "medians": {"energy": 0.6, "is_explicit": 0.0},
        "bins": {
            "energy": {"edges": [0.4995, 0.5005], "shares": [0.0, 1.0, 0.0, 0.0]},
            "is_explicit": {"edges": [0.9995, 1.0005], "shares": [0.0, 0.5, 0.0, 0.5]},
        },
    }


def test_it_is_read_as_it_was_written() -> None:
    assert read(written(), "model.json") == (FEATURES, ["AR", "NA"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<html>", r"model\.json of version 3 is no description of a model"),
        ("[]", "is no description of a model"),
        ('{"format": 1}', "is no description of a model .KeyError.'features'"),
        ('{"format": 2}', "has format 2, 1 is known"),
    ],
)
def test_what_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        read(text, "model.json of version 3")

"""What training writes is what the service loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jukebox.description import DESCRIPTION_FILE, GRAPH_FILE, Description
from jukebox.fit import fit
from jukebox.onnx_export import export
from jukebox.serving.models import Model
from jukebox.training_set import Feature

INPUTS = [
    Feature("song_properties:energy", "energy", "Float32"),
    Feature("song_properties:is_explicit", "is_explicit", "Bool"),
]
ORIGIN = {"service": "serving_fs", "definition_hash": "h", "git_commit": "c", "dataset_version": "d"}


def test_a_trained_model_passes_its_self_test_and_answers_where_values_are_null(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).normal(size=(600, 2))
    model = fit(drawn, np.where(drawn[:, 0] > 0, "KR", "NA"))
    graph = export(model, features=2)
    example = drawn[0].astype("float32")
    (tmp_path / GRAPH_FILE).write_bytes(graph.body)
    (tmp_path / DESCRIPTION_FILE).write_text(
        Description(INPUTS, model[-1].classes_.tolist(), ORIGIN).text(
            example, graph.probabilities(example[None])[0], np.zeros(2), example[None]
        )
    )
    loaded = Model.load(tmp_path)
    assert [feature.ref for feature in loaded.features] == [feature.ref for feature in INPUTS]
    assert loaded.facts == ORIGIN
    answer = loaded.probabilities(np.array([[2, np.nan], [np.nan, np.nan]], dtype=np.float32))
    assert loaded.classes[int(answer[0].argmax())] == "KR"
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)

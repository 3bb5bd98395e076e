"""A feature store, models and a registry of models, each as small as can be, for tests of the service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from jukebox.serving.problems import UnavailableError

FEATURES = ("energy", "loudness", "key")
REFS = tuple(f"song_properties:{name}" for name in FEATURES)
COUNTRIES = ("KR", "AR", "DE", "BR")
SEEN = datetime(2024, 3, 1, 12, tzinfo=UTC)

YAML = """
project: music
provider: local
registry:
  path: FOLDER/registry.db
online_store:
  type: sqlite
  path: FOLDER/online.db
entity_key_serialization_version: 3
"""


class FeatureRepository:
    """
    A feature store in a folder: SQLite, and a registry in a file, unless the configuration says other.

    ``full`` has all features, ``holes`` lacks its loudness, ``nothing`` has none.
    """

    def __init__(self, folder: Path, configuration: str = YAML) -> None:
        from feast import FeatureStore

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / "feature_store.yaml").write_text(configuration.replace("FOLDER", str(folder)))
        self._store = FeatureStore(repo_path=str(folder))
        self.define(FEATURES)
        self.write(
            spotify_id=["full", "holes", "nothing"],
            energy=[0.8, 0.4, None],
            loudness=[-6.5, None, None],
            key=pd.array([5, 2, None], dtype="Int64"),
        )

    def define(self, features: Sequence[str]) -> None:
        """Apply a view with these features."""
        from feast import Entity, FeatureView, Field, FileSource, ValueType
        from feast.types import Float32, Int64, String

        rows = {"spotify_id": ["-"], "event_timestamp": [SEEN], **{name: [0] for name in features}}
        path = self.folder / "songs.parquet"
        pd.DataFrame(rows).to_parquet(path)

        music = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
        source = FileSource(
            name="songs", path=str(self.folder / "songs.parquet"), timestamp_field="event_timestamp"
        )
        view = FeatureView(
            name="song_properties",
            entities=[music],
            ttl=timedelta(0),
            schema=[
                Field(name="spotify_id", dtype=String),
                *(Field(name=name, dtype=Int64 if name == "key" else Float32) for name in features),
            ],
            source=source,
        )
        self._store.apply([music, source, view])

    def write(self, **columns: Any) -> None:
        """Put rows into the online store."""
        rows = pd.DataFrame(columns)
        rows["event_timestamp"] = SEEN
        self._store.write_to_online_store("song_properties", rows)


def write_model(
    folder: Path,
    refs: Sequence[str] = REFS,
    seed: int = 1,
    commit: str = "c0ffee1",
    imputes: bool = True,
    **changes: Any,
) -> Path:
    """
    Write a model: softmax over a linear map, nulls taken for 0.

    :param imputes: False: a null makes all its probabilities NaN.
    :param changes: entries of model.json that shall be other than right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(seed).normal(size=(len(refs), len(COUNTRIES))).astype(np.float32)
    nodes = [
        helper.make_node("IsNaN", ["features"], ["null"]),
        helper.make_node("Where", ["null", "zero", "features"], ["filled"]),
        helper.make_node("MatMul", ["filled" if imputes else "features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(refs)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(COUNTRIES)])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.zeros((1,), dtype=np.float32), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    names = [ref.partition(":")[2] for ref in refs]
    inputs = dict(zip(names, np.linspace(0.1, 0.9, len(refs)).round(3).tolist(), strict=True))
    logits = np.array(list(inputs.values()), dtype=np.float32) @ weights
    probabilities = np.exp(logits) / np.exp(logits).sum()
    card = {
        "format": 1,
        "features": [
            {"ref": ref, "name": name, "type": "Int64" if name == "key" else "Float32"}
            for ref, name in zip(refs, names, strict=True)
        ],
        "classes": list(COUNTRIES),
        "service": "serving_fs",
        "definition_hash": "d" * 8,
        "git_commit": commit,
        "dataset_version": "songs-1",
        "self_test": {
            "inputs": inputs,
            "probabilities": dict(zip(COUNTRIES, probabilities.tolist(), strict=True)),
        },
    }
    (folder / "model.json").write_text(json.dumps(card | changes))
    return folder


class Shelf:
    """A registry of models in folders; stands in MLflow's place."""

    def __init__(self) -> None:
        self.models: dict[str, Path] = {}
        self.aliases: dict[str, str] = {}
        self.away = False
        self.downloads: list[str] = []

    def put(self, version: str, folder: Path, alias: str = "test") -> None:
        self.models[version], self.aliases[alias] = folder, version

    def version(self, alias: str) -> str | None:
        if self.away:
            raise UnavailableError("MLflow does not answer")
        return self.aliases.get(alias)

    def download(self, version: str, folder: Path) -> None:
        self.downloads.append(version)
        shutil.copytree(self.models[version], folder, dirs_exist_ok=True)

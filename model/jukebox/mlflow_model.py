"""The model in MLflow's own format, beside ``model.onnx`` and ``model.json``: any MLflow tool can use it."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from jukebox.training_set import Feature

_LOADER = "jukebox_pyfunc"
_CODE, _EXAMPLE, _REQUEST = "code", "input_example.json", "serving_input_example.json"
_FLOATS = ("Float32", "Float64")
# What loading the model needs.
_REQUIREMENTS = ("numpy", "onnxruntime", "pandas")


def write(folder: Path, features: Sequence[Feature], classes: Sequence[str], example: np.ndarray) -> None:
    """
    Write ``MLmodel`` and what it names: loader, environment, signature and input example.

    :param folder: with ``model.onnx`` and ``model.json``.
    :param classes: the countries, in the order of the output.
    :param example: one row of features.
    """
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.pyfunc import add_to_model
    from mlflow.types.schema import AnyType, ColSpec, Schema

    # pandas reads integers and truth values with nulls as other types, which MLflow would refuse.
    inputs = [
        ColSpec("double" if feature.type in _FLOATS else AnyType(), feature.name, required=False)
        for feature in features
    ]
    signature = ModelSignature(Schema(inputs), Schema([ColSpec("double", country) for country in classes]))
    model = Model(
        artifact_path=folder.name,
        signature=signature,
        saved_input_example_info={
            "artifact_path": _EXAMPLE,
            "type": "dataframe",
            "pandas_orient": "split",
            "serving_input_path": _REQUEST,
        },
    )
    add_to_model(model, loader_module=_LOADER, code=_CODE, python_env="python_env.yaml")
    model.save(str(folder / "MLmodel"))
    _write_example(folder, [feature.name for feature in features], example)
    _write_environment(folder)
    (folder / _CODE).mkdir()
    shutil.copyfile(Path(__file__).with_name("pyfunc_loader.py"), folder / _CODE / f"{_LOADER}.py")


def _write_example(folder: Path, names: Sequence[str], example: np.ndarray) -> None:
    split = {"columns": list(names), "data": [[float(value) for value in example]]}
    (folder / _EXAMPLE).write_text(json.dumps(split), encoding="utf-8")
    (folder / _REQUEST).write_text(json.dumps({"dataframe_split": split}, indent=1), encoding="utf-8")


def _write_environment(folder: Path) -> None:
    pinned = [f"mlflow=={metadata.version('mlflow-skinny')}"]
    pinned += [f"{name}=={metadata.version(name)}" for name in _REQUIREMENTS]
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in pinned), encoding="utf-8")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\n"
        "build_dependencies:\n- pip\n"
        "dependencies:\n- -r requirements.txt\n",
        encoding="utf-8",
    )

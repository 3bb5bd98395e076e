"""The model that is in use: what a new one is compared with."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jukebox import description
from jukebox.errors import ServerError, TrainingError
from jukebox.onnx_export import Graph
from jukebox.training_set import Feature


@dataclass(frozen=True)
class Champion:
    """A registered model: its version, inputs, countries and graph."""

    version: str
    features: list[Feature]
    classes: list[str]
    graph: Graph


def load(uri: str) -> Champion | None:
    """
    Fetch a registered model by alias; None if nobody has the alias.

    :param uri: ``models:/NAME@ALIAS``.
    :raises TrainingError: the URI is no such, or the model has it but can't be read.
    """
    found = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if not found:
        raise TrainingError(f"{uri!r} names no champion: write models:/NAME@ALIAS")
    version = _version(*found.groups())
    if version is None:
        return None
    number, source = version
    with tempfile.TemporaryDirectory() as folder:
        return _read(f"version {number} of {found[1]}", number, _fetch(uri, number, source, folder))


def _version(name: str, alias: str) -> tuple[str, str] | None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    try:
        version = str(client.get_model_version_by_alias(name, alias).version)
        return version, client.get_model_version_download_uri(name, version)
    except MlflowException as error:
        # MLflow's words for a model, and for an alias, that is not there.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise ServerError(
            f"MLflow can't be asked for the champion ({error}): look at MLFLOW_TRACKING_URI"
        ) from error


def _fetch(uri: str, version: str, source: str, folder: str) -> Path:
    from mlflow.artifacts import download_artifacts

    try:
        return Path(download_artifacts(artifact_uri=source, dst_path=folder))
    except Exception as error:  # of whichever store keeps the artifacts
        raise ServerError(
            f"the files of {uri}, version {version}, can't be read from {source} ({error}): put them back, "
            "or give the alias to another version"
        ) from error


def _read(name: str, version: str, folder: Path) -> Champion:
    try:
        text = (folder / description.DESCRIPTION_FILE).read_text(encoding="utf-8")
        features, classes = description.read(text, f"{description.DESCRIPTION_FILE} of {name}")
        return Champion(version, features, classes, Graph((folder / description.GRAPH_FILE).read_bytes()))
    except TrainingError:
        raise
    except Exception as error:  # a missing file, or ONNX Runtime's own exceptions, which share no base
        raise TrainingError(
            f"{name} can't be loaded ({error}): give the champion's alias to another version"
        ) from error

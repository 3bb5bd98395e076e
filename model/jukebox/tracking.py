"""Log trainings to MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox.errors import ServerError, TrainingError

if TYPE_CHECKING:
    from mlflow.entities import Experiment

EXPERIMENT, MODEL_FOLDER = "jukebox", "model"
_EXPERIMENT_TAGS = {
    # MLflow's user interface otherwise opens the views for prompts and traces of language models.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "Trainings of *jukebox*, which predicts the countries in which a song is ranked. Each run is one "
        "training of the DAG *Continuous training*; accepted ones become versions of the registered model "
        "`jukebox`."
    ),
}
# The longest digest that MLflow stores.
_DIGEST_LENGTH = 36

# A server that is away is told of within a minute; a log shows no progress bars.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def check_configured() -> None:
    """Raise a :class:`TrainingError` if no server is named: MLflow would write into the current folder."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrainingError("no MLflow server is named: set MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class DataVersion:
    """
    The data that a model was trained on.

    :param version: its hash.
    :param source: where it comes from, plain JSON.
    :param columns: names and MLflow types of the features.
    """

    name: str
    version: str
    source: Mapping[str, str]
    columns: Sequence[tuple[str, str]]
    rows: int


def log_run(
    name: str,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    folder: Path,
    *,
    description: str,
    data: DataVersion,
) -> tuple[str, str]:
    """
    Log a finished training; returns the run's id and the URI of the folder with the model.

    :param folder: its contents become the run's artifacts; the model is in ``model``.
    :param description: of the run, as markdown.
    :raises ServerError: MLflow can't be reached, or does not accept the run.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        _describe_experiment(mlflow.set_experiment(EXPERIMENT))
        with mlflow.start_run(run_name=name, tags=dict(tags), description=description) as run:
            mlflow.log_params(dict(parameters))
            mlflow.log_metrics(dict(metrics))
            _log_data(run.info.run_id, data)
            mlflow.log_artifacts(str(folder))
            return run.info.run_id, mlflow.get_artifact_uri(MODEL_FOLDER)
    except (MlflowException, OSError) as error:
        raise ServerError(
            f"MLflow does not accept the run ({error}): check MLFLOW_TRACKING_URI and the server"
        ) from error


def _describe_experiment(experiment: Experiment) -> None:
    """Set kind and description of the experiment, unless a user has set them."""
    from mlflow import MlflowClient

    for tag, value in _EXPERIMENT_TAGS.items():
        if not experiment.tags.get(tag):
            MlflowClient().set_experiment_tag(experiment.experiment_id, tag, value)


def _log_data(run_id: str, data: DataVersion) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": name, "type": kind, "required": False} for name, kind in data.columns]
    dataset = Dataset(
        name=data.name,
        digest=data.version[:_DIGEST_LENGTH],
        source_type="feast",
        source=json.dumps({**data.source, "dataset_version": data.version}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": data.rows}),
    )
    MlflowClient().log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

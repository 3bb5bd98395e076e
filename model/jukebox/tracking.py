"""Where trainings are told of: MLflow's experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jukebox.errors import ServerError, TrainingError

EXPERIMENT, MODEL_FOLDER = "jukebox", "model"

# A server that is away is told of within a minute; a log shows no progress bars.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def check_configured() -> None:
    """Raise a :class:`TrainingError` if no server is named: MLflow would write into the current folder."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrainingError("no MLflow server is named: set MLFLOW_TRACKING_URI")


def log_run(
    name: str,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    folder: Path,
) -> tuple[str, str]:
    """
    Log a finished training; returns the run's id and the URI of the folder with the model.

    :param folder: its contents become the run's artifacts; the model is in ``model``.
    :raises ServerError: MLflow can't be reached, or does not take it.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=name, tags=dict(tags)) as run:
            mlflow.log_params(dict(parameters))
            mlflow.log_metrics(dict(metrics))
            mlflow.log_artifacts(str(folder))
            return run.info.run_id, mlflow.get_artifact_uri(MODEL_FOLDER)
    except (MlflowException, OSError) as error:
        raise ServerError(
            f"MLflow does not take the run ({error}): look at MLFLOW_TRACKING_URI and at the server"
        ) from error

"""Where models come from: a registry that gives a version the alias which this service follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from jukebox.serving.problems import UnavailableError

MODEL_NAME = "jukebox"


class ModelSource(Protocol):
    """A registry of models."""

    def version(self, alias: str) -> str | None:
        """
        Return the version that has the alias; None if none has.

        :raises UnavailableError: the registry does not answer.
        """

    def download(self, version: str, folder: Path) -> None:
        """
        Put the files of a version into a folder.

        :raises UnavailableError: the registry or its store does not answer.
        """


class MlflowSource:
    """
    MLflow's model registry, as ``MLFLOW_TRACKING_URI`` names it.

    :param name: the registered model.
    """

    def __init__(self, name: str = MODEL_NAME) -> None:
        self._name = name
        self._client: Any = None

    def version(self, alias: str) -> str | None:
        """Return the version that has the alias; None if none has."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            found = self._connected().get_model_version_by_alias(self._name, alias)
        except MlflowException as error:
            # No such model is the one, no such alias the other.
            if error.error_code in {
                ErrorCode.Name(RESOURCE_DOES_NOT_EXIST),
                ErrorCode.Name(INVALID_PARAMETER_VALUE),
            }:
                return None
            raise UnavailableError(f"MLflow does not answer ({error.error_code})") from error
        except Exception as error:  # a database behind MLflow, a proxy before it
            raise UnavailableError(f"MLflow does not answer ({type(error).__name__})") from error
        return str(found.version)

    def download(self, version: str, folder: Path) -> None:
        """Put the files of a version into a folder."""
        from mlflow.artifacts import download_artifacts

        try:
            download_artifacts(artifact_uri=f"models:/{self._name}/{version}", dst_path=str(folder))
        except Exception as error:  # as above, and the store of the files
            raise UnavailableError(
                f"the files of version {version} can't be downloaded ({type(error).__name__})"
            ) from error

    def _connected(self) -> Any:
        if self._client is None:
            import mlflow

            self._client = mlflow.MlflowClient()
        return self._client

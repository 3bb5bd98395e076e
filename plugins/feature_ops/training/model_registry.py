"""The models' versions in MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from feature_ops.exceptions import FeatureOpsError
from feature_ops.training.result import TrainingResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST, CHAMPION = "test", "champion"


@dataclass(frozen=True)
class ModelVersion:
    """One version: its number, the commit and the definition that it was trained on, its features."""

    version: str
    git_commit: str
    definition_hash: str
    features: tuple[str, ...]


class ModelRegistry:
    """
    MLflow's registry of one model.

    :param tracking_uri: address of the MLflow server.
    :param model: the model's name.
    """

    def __init__(self, tracking_uri: str, model: str) -> None:
        self._uri, self._model = tracking_uri, model

    def by_alias(self, alias: str) -> ModelVersion | None:
        """Return the version that has an alias."""
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                found = self._client.get_model_version_by_alias(self._model, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        tags = found.tags
        return ModelVersion(
            str(found.version),
            tags.get("git_commit", ""),
            tags.get("definition_hash", ""),
            tuple(json.loads(tags.get("features", "[]"))),
        )

    def register(self, result: TrainingResult, feature_service: str) -> str:
        """Return the version of a training's model; made if there is none yet."""
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                self._client.create_registered_model(self._model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            there = self._client.search_model_versions(
                f"name = '{self._model}' and run_id = '{result.run_id}'"
            )
            if there:
                return str(there[0].version)
            made = self._client.create_model_version(
                self._model,
                source=result.artifact_uri,
                run_id=result.run_id,
                tags={
                    "git_commit": result.git_commit,
                    "dataset_version": result.dataset_version,
                    "feature_service": feature_service,
                    "definition_hash": result.definition_hash,
                    "features": json.dumps(result.features),
                    **{name: f"{value:.5f}" for name, value in result.metrics.items()},
                },
            )
        return str(made.version)

    def set_alias(self, alias: str, version: str) -> None:
        """Give a version an alias, taking it from any other."""
        with self._failures():
            self._client.set_registered_model_alias(self._model, alias, version)

    def remove_alias(self, alias: str) -> None:
        """Leave the alias to nobody."""
        with self._failures():
            self._client.delete_registered_model_alias(self._model, alias)

    @cached_property
    def _client(self) -> MlflowClient:
        # Neither reports home nor waits minutes for a server that is away.
        os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            said = str(error.message).splitlines()[0][:300]
            raise FeatureOpsError(
                f"MLflow at {self._uri} did not do its part ({said}): check that it runs and can be reached "
                "(FEATURE_OPS_MLFLOW_TRACKING_URI); then try again"
            ) from None

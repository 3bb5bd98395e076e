"""The models' versions in MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.training.markdown import code
from feature_ops.training.recipe import Recipe
from feature_ops.training.regression import AcceptedRegression
from feature_ops.training.result import TrainingResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST, CHAMPION = "test", "champion"
_LAST_CHAMPION = "feature_ops.last_champion"


@dataclass(frozen=True)
class ModelVersion:
    """
    One version.

    :param git_commit: the commit that it was trained on.
    :param dataset_version: which data it was trained on.
    :param features: ``view:feature`` references in the order of its input.
    :param run_id: of MLflow.
    :param result_uri: where its training told what it found.
    :param resolved_at: when its run compared git with the registry, ISO time; empty if that is not recorded.
    :param approved_at: when its promotion was approved last, ISO time; empty if it never was.
    :param promoted_at: when it was promoted last, ISO time; empty if it never was.
    :param accepted_regression: why it was accepted although it is worse than the champion; None if it
        passed all gates.
    """

    version: str
    git_commit: str
    dataset_version: str
    recipe: Recipe
    features: tuple[str, ...]
    run_id: str
    result_uri: str
    resolved_at: str = ""
    approved_at: str = ""
    promoted_at: str = ""
    accepted_regression: AcceptedRegression | None = None


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
        return self._found(lambda: self._client.get_model_version_by_alias(self._model, alias))

    def by_number(self, version: str) -> ModelVersion | None:
        """Return a version."""
        return self._found(lambda: self._client.get_model_version(self._model, version))

    def before(self, alias: str) -> ModelVersion | None:
        """Return the version that had an alias before it was moved to the one that has it."""
        with self._failures():
            version = self._client.get_registered_model(self._model).tags.get(_before(alias))
        return self.by_number(version) if version else None

    def last_champion(self) -> str | None:
        """Return the number of the last version that is known as champion, also after it was deleted."""
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                tags = self._client.get_registered_model(self._model).tags
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
        return tags.get(_LAST_CHAMPION) or tags.get(_before(CHAMPION)) or None

    def record_champion(self, version: str) -> None:
        """Record that a version is the champion; the tag outlives the alias and the version."""
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                self._client.set_registered_model_tag(self._model, _LAST_CHAMPION, version)
            except MlflowException as error:
                # The registered model was deleted; it is created again with the next version.
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def _found(self, ask: Callable[[], Any]) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                found = ask()
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        tags = found.tags
        return ModelVersion(
            str(found.version),
            tags.get("git_commit", ""),
            tags.get("dataset_version", ""),
            Recipe(tags.get("definition_hash", ""), tags.get("code_hash", "")),
            tuple(json.loads(tags.get("features", "[]"))),
            str(found.run_id or ""),
            tags.get("result_uri", ""),
            tags.get("resolved_at", ""),
            tags.get("approved_at", ""),
            tags.get("promoted_at", ""),
            AcceptedRegression.of_tags(tags),
        )

    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Return a version's scores on the rows that its training held out; none if its run was deleted."""
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                return dict(self._client.get_run(version.run_id).data.metrics)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise

    def note(self, version: str, facts: Mapping[str, str]) -> None:
        """Write facts of a version beside it."""
        with self._failures():
            for name, value in facts.items():
                self._client.set_model_version_tag(self._model, version, name, value)

    def register(
        self,
        result: TrainingResult,
        feature_service: str,
        code_hash: str,
        result_uri: str,
        resolved_at: str = "",
        description: str = "",
    ) -> str:
        """
        Return the version of a training's model; created if it does not exist.

        :param code_hash: of the code that it was trained with.
        :param result_uri: where the result is.
        :param resolved_at: when the training's run compared git with the registry.
        :param description: of the model; one that a user wrote in MLflow is kept.
        """
        from mlflow.exceptions import MlflowException

        with self._failures():
            try:
                self._client.create_registered_model(self._model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            self._describe(description)
            there = self._client.search_model_versions(
                f"name = '{self._model}' and run_id = '{result.run_id}'"
            )
            if there:
                return str(there[0].version)
            made = self._client.create_model_version(
                self._model,
                source=result.artifact_uri,
                run_id=result.run_id,
                description=_version_description(result, feature_service),
                tags={
                    "git_commit": result.git_commit,
                    "dataset_version": result.dataset_version,
                    "feature_service": feature_service,
                    "definition_hash": result.definition_hash,
                    "code_hash": code_hash,
                    "result_uri": result_uri,
                    "resolved_at": resolved_at,
                    "features": json.dumps(result.features),
                    **{name: f"{value:.5f}" for name, value in result.metrics.items()},
                },
            )
        return str(made.version)

    def download_files(self, result: TrainingResult, folder: Path) -> Path:
        """
        Download the files of a training's model from its run; returns their folder.

        :param folder: an empty scratch directory.
        """
        with self._failures():
            path = self._artifact_path(result)
            return Path(self._client.download_artifacts(result.run_id, path, str(folder)))

    def add_file(self, result: TrainingResult, file: Path) -> None:
        """Put a file next to those of a training's model; one of that name is replaced."""
        with self._failures():
            self._client.log_artifact(result.run_id, str(file), self._artifact_path(result) or None)

    def _artifact_path(self, result: TrainingResult) -> str:
        """Return where in its run a model is: a result is untrusted, and may name any location."""
        from mlflow.exceptions import MlflowException

        try:
            root = str(self._client.get_run(result.run_id).info.artifact_uri).rstrip("/")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise BadInputError(
                f"the training reports the MLflow run {result.run_id[:100]!r}, which does not exist: correct "
                "the train command"
            ) from None
        path = result.artifact_uri.rstrip("/").removeprefix(root).strip("/")
        inside = result.artifact_uri.rstrip("/") == "/".join(filter(None, (root, path)))
        if not inside or any(part in ("", ".", "..") for part in path.split("/") if path):
            raise BadInputError(
                f"the training reports model files outside of its MLflow run {result.run_id}: correct the "
                "train command, so that `artifact_uri` is a folder of the run"
            )
        return path

    def _describe(self, description: str) -> None:
        if description and not self._client.get_registered_model(self._model).description:
            self._client.update_registered_model(self._model, description)

    def set_alias(self, alias: str, version: str) -> None:
        """Give a version an alias, taking it from any other, which is noted for the way back."""
        had = self.by_alias(alias)
        with self._failures():
            # First: a try that is killed between the two must not forget it.
            if had is None:
                # No version is returned to, not one that had the alias long ago.
                self._client.delete_registered_model_tag(self._model, _before(alias))
            elif had.version != version:
                self._client.set_registered_model_tag(self._model, _before(alias), had.version)
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


def _version_description(result: TrainingResult, feature_service: str) -> str:
    """Return what MLflow shows of the version, as markdown; the result was written by untrusted code."""
    compared = f", compared with version {code(result.champion.version)}" if result.champion else ""
    return (
        f"Commit {code(result.git_commit[:10])}, data version {code(result.dataset_version)}{compared}. "
        f"{len(result.features)} features of {code(feature_service)}; held out: "
        f"{result.rows.get('test', 0):,} rows."
    )


def _before(alias: str) -> str:
    return f"feature_ops.{alias}_before"

"""The steps from applied features to a model that answers in test."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model

if TYPE_CHECKING:
    from feature_ops.feast.hook import FeastHook
    from feature_ops.git.commits import Commits
    from feature_ops.training.model_registry import ModelRegistry
    from feature_ops.training.result import TrainingResult


class TrainingOperator(ReconcilingOperator):
    """
    Base of the steps; they share the model they work on.

    :param model: what is trained.
    """

    def __init__(self, *, model: Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def registry(self) -> ModelRegistry:
        """Return MLflow's registry of the model; a :class:`BadInputError` if no server is set."""
        from feature_ops.training.model_registry import ModelRegistry

        uri = get_settings().mlflow_tracking_uri
        if not uri:
            raise BadInputError("no MLflow server is set: set FEATURE_OPS_MLFLOW_TRACKING_URI")
        return ModelRegistry(uri, self.model.name)

    def result(self, uri: str) -> TrainingResult:
        """Read what a training told."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.object_store import split_uri
        from feature_ops.training.result import TrainingResult

        bucket, key = split_uri(uri)
        body = FeastHook().object_store.client.get_object(Bucket=bucket, Key=key)["Body"]
        return TrainingResult.read(body.read(), uri)


class RetrainOperator(TrainingOperator):
    """
    Train on the applied definition if no accepted model is trained on it yet.

    What is compared is the definition of the model's service with that of the newest model, not what this
    run has applied: a training that failed is made up for by the next run. A definition that was trained and
    refused is not trained again by itself.

    :param force: train anyway. (templated)
    """

    template_fields: Sequence[str] = ("force",)

    def __init__(self, *, force: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.force = force

    def reconcile(self, context: Context) -> Outcome:
        """Find what is to be trained, train it, and return where its result is."""
        from feature_ops.feast.applied_commit import AppliedCommit
        from feature_ops.feast.hook import FeastHook
        from feature_ops.git.hook import GitRepositoryHook
        from feature_ops.work_folder import work_folder

        hook = FeastHook()
        state = AppliedCommit(hook.registry_url(), hook.project()).state()
        if state.applied is None or state.begun is not None:
            raise NothingPendingError("nothing to train: no commit is applied completely yet")
        with (
            work_folder("training") as folder,
            GitRepositoryHook(get_settings().git_conn_id).commits(folder / "git") as commits,
        ):
            definition = self._definition(hook, commits, state.applied, folder / "definitions")
            why = self._why(hook, definition)
            uri = self._result_uri(str(context["dag_run"].run_id), state.applied, definition)
            if hook.object_store.exists(uri):
                self.log.info("An earlier try of this run has trained it: %s", uri)
            else:
                self._train(hook, commits, state.applied, definition, uri, folder / "code")
        result = self.result(uri)
        return Outcome(
            f"trained on {state.applied[:10]} ({why}): {len(result.features)} features, "
            f"{result.rows.get('train', 0):,} rows, {result.seconds:.0f} s",
            {
                "result_uri": uri,
                "commit": state.applied,
                "definition_hash": definition,
                "run_id": result.run_id,
                "metrics": result.metrics,
            },
        )

    def _why(self, hook: FeastHook, definition: str) -> str:
        from feature_ops.training.model_registry import TEST
        from feature_ops.training.rejections import Rejections

        if str(self.force).strip().lower() in ("true", "1", "yes", "on"):
            return "forced"
        newest = self.registry().by_alias(TEST)
        if newest is None:
            return "the first model"
        if newest.definition_hash == definition:
            raise NothingPendingError(
                f"nothing to train: version {newest.version} of {self.model.name} is trained on this "
                f"definition of {self.model.feature_service}"
            )
        refused = Rejections(hook.object_store, self.model.name).reason(definition)
        if refused:
            raise NothingPendingError(
                f"not trained again: a model on this definition was {refused}. Change the features, or "
                "trigger with force_training"
            )
        return f"{self.model.feature_service} changed since version {newest.version}"

    def _definition(self, hook: FeastHook, commits: Commits, commit: str, folder: Path) -> str:
        from feature_ops.feast.definitions_store import DefinitionsStore
        from feature_ops.feast.diff.definitions import service_hash
        from feature_ops.feast.diff.loading import load

        store = DefinitionsStore(hook.object_store)
        definitions = store.get(commit)
        if definitions is None:
            commits.export(commit, get_settings().feature_repo_path, folder)
            label = f"commit {commit[:10]}"
            definitions = load({label: folder})[label]
            store.put(commit, definitions)
        try:
            return service_hash(definitions, self.model.feature_service)
        except KeyError:
            raise BadInputError(
                f"commit {commit[:10]} has no feature service {self.model.feature_service!r}, on which "
                f"{self.model.name} is trained: define it, or correct the model's declaration"
            ) from None

    def _result_uri(self, run_id: str, commit: str, definition: str) -> str:
        from feature_ops.datasets.stage import run_folder

        prefix = f"{get_settings().storage_uri}/_training/{self.model.name}/"
        return f"{prefix}{run_folder(run_id)}/{commit[:12]}-{definition[:12]}.json"

    def _train(
        self, hook: FeastHook, commits: Commits, commit: str, definition: str, uri: str, folder: Path
    ) -> None:
        from feature_ops.feast.configuration import configuration_file
        from feature_ops.training.model_registry import CHAMPION
        from feature_ops.training.process import run_in_process

        settings = get_settings()
        code, features = folder / "model", folder / "feature_repo"
        commits.export(commit, self.model.code_path, code)
        commits.export(commit, settings.feature_repo_path, features)
        # Definitions come from the commit, where the store is from the deployment.
        shutil.copyfile(configuration_file(hook.feature_repo), configuration_file(features))
        arguments = {
            "feature-repo": str(features),
            "feature-service": self.model.feature_service,
            "revision": commit,
            "dataset-version": self._dataset_version(hook),
            "definition-hash": definition,
            "champion": f"models:/{self.model.name}@{CHAMPION}",
            "result": uri,
            **self.model.arguments,
        }
        command = [*self.model.command, *(f"--{name}={value}" for name, value in arguments.items())]
        environment = {**hook.environment(), "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri or ""}
        run_in_process(command, code, environment, hook.secrets(), settings.training_timeout)

    def _dataset_version(self, hook: FeastHook) -> str:
        """Return a hash over the names of the history's files, which are hashes of their contents."""
        import hashlib

        prefix = f"{get_settings().storage_uri}/"
        names = sorted(
            file.uri.removeprefix(prefix)
            for file in hook.object_store.list(prefix)
            if file.name.endswith(".parquet") and not file.uri.removeprefix(prefix).startswith("_")
        )
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:20]


class EvaluateOperator(TrainingOperator):
    """
    Decide whether the trained model may go on; a refused one is remembered and fails the step.

    :param trained: facts of the :class:`RetrainOperator`. (templated)
    """

    template_fields: Sequence[str] = ("trained",)

    def __init__(self, *, trained: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trained: Mapping[str, Any] = trained

    def reconcile(self, context: Context) -> Outcome:
        """Judge by the gates of the settings."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.gates import Gates, judge
        from feature_ops.training.rejections import Rejections

        settings = get_settings()
        gates = Gates(settings.gate_log_loss_increase, settings.gate_recall_drop, settings.gate_top5_minimum)
        judgement = judge(self.result(self.trained["result_uri"]), gates)
        if not judgement.accepted:
            commit, definition = str(self.trained["commit"]), str(self.trained["definition_hash"])
            Rejections(FeastHook().object_store, self.model.name).remember(
                definition, commit, judgement.summary
            )
            raise BadInputError(f"{judgement.summary}. Nothing is deployed; the champion stays")
        return Outcome(judgement.summary, dict(self.trained))


class RegisterOperator(TrainingOperator):
    """
    Make the accepted model a version in MLflow's registry.

    :param evaluated: facts of the :class:`EvaluateOperator`. (templated)
    """

    template_fields: Sequence[str] = ("evaluated",)

    def __init__(self, *, evaluated: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluated: Mapping[str, Any] = evaluated

    def reconcile(self, context: Context) -> Outcome:
        """Register once, however often it is tried."""
        result = self.result(self.evaluated["result_uri"])
        version = self.registry().register(result, self.model.feature_service)
        return Outcome(
            f"version {version} of {self.model.name}: commit {result.git_commit[:10]}, data "
            f"{result.dataset_version[:10]}, {len(result.features)} features",
            {**self.evaluated, "version": version},
        )


class DeployTestOperator(TrainingOperator):
    """
    Have the test instance answer with the new version.

    The alias ``test`` moves, and the service takes the version after it has answered a self-test. If it
    refuses it, the alias goes back. The first model of all becomes the champion, too.

    :param registered: facts of the :class:`RegisterOperator`. (templated)
    """

    template_fields: Sequence[str] = ("registered",)

    def __init__(self, *, registered: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registered: Mapping[str, Any] = registered

    def reconcile(self, context: Context) -> Outcome:
        """Move the alias and wait for the service's word."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.live_models import announce
        from feature_ops.training.model_registry import CHAMPION, TEST
        from feature_ops.training.model_service import ModelService
        from feature_ops.training.rejections import Rejections

        settings, registry = get_settings(), self.registry()
        version = str(self.registered["version"])
        store = FeastHook().object_store
        features = self.result(self.registered["result_uri"]).features
        before = registry.by_alias(TEST)
        # Before it can be asked: from now on no field that it reads may be removed.
        announce(store, f"{self.model.name}@{TEST}", features)
        registry.set_alias(TEST, version)
        if settings.test_service_url:
            service = ModelService(settings.test_service_url)
            refused = service.wait_for(version, settings.deploy_timeout)
            if refused:
                self._go_back(registry, before)
                reason = f"refused by the test service: {refused}"
                Rejections(store, self.model.name).remember(
                    str(self.registered["definition_hash"]), str(self.registered["commit"]), reason
                )
                raise BadInputError(f"version {version} is {reason}. The model before it stays")
        Rejections(store, self.model.name).forget(str(self.registered["definition_hash"]))
        first = registry.by_alias(CHAMPION) is None
        if first:
            announce(store, f"{self.model.name}@{CHAMPION}", features)
            registry.set_alias(CHAMPION, version)
        where = settings.test_service_url or f"the alias {TEST}"
        also = "; it is the first, so it is the champion, too" if first else ""
        return Outcome(
            f"version {version} of {self.model.name} answers at {where}{also}", dict(self.registered)
        )

    def _go_back(self, registry: ModelRegistry, before: Any) -> None:
        from feature_ops.training.model_registry import TEST

        if before is None:
            registry.remove_alias(TEST)
        else:
            registry.set_alias(TEST, before.version)

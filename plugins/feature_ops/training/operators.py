"""The steps from applied features to a model that answers in test."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from feature_ops.alerts.alert import Alert
from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model
from feature_ops.ui.links import MlflowRunLink, ModelPageLink
from feature_ops.upstream import Needs, was_skipped

if TYPE_CHECKING:
    from feature_ops.datasets.dataset import Dataset
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.feast.hook import FeastHook
    from feature_ops.git.commits import Commits
    from feature_ops.object_store import ObjectStore
    from feature_ops.training.champion import ChampionRecord
    from feature_ops.training.model_registry import ModelRegistry
    from feature_ops.training.plan import TrainingPlan
    from feature_ops.training.pod_training import PodTraining
    from feature_ops.training.recipe import Recipe
    from feature_ops.training.result import TrainingResult
    from feature_ops.training.superseded import Basis

# What the tasks from the training to the deployment pass on.
_TRAINED = ("result_uri", "commit", "definition_hash", "code_hash", "applied", "resolved_at")


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

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The model that the step worked on, and what it is made of."""
        told = ("commit", "run_id", "version", "metrics", "accepted_regression")
        return {"model": self.model.name, **{n: outcome.facts.get(n) for n in told if outcome}}

    def recipe(self, facts: Mapping[str, Any]) -> Recipe:
        """Return what the model that the steps pass on is made of."""
        from feature_ops.training.recipe import Recipe

        return Recipe(str(facts["definition_hash"]), str(facts["code_hash"]))

    def refuse_superseded(self, facts: Mapping[str, Any]) -> None:
        """Refuse to act on what the steps pass on once a later run has applied or deployed something else."""
        from feature_ops.feast.applied_commit import applied_commit
        from feature_ops.training.model_registry import TEST
        from feature_ops.training.superseded import refuse_superseded

        basis = self.basis(facts, (facts["applied"],))
        refuse_superseded(self.model.name, basis, applied_commit(), self.registry().by_alias(TEST))

    def basis(self, facts: Mapping[str, Any], applied: Sequence[str | None]) -> Basis:
        """Return what the run trains on."""
        from feature_ops.training.superseded import Basis

        return Basis(str(facts["commit"]), applied, str(facts["resolved_at"]), self.first_task())

    def champion_record(self, store: ObjectStore) -> ChampionRecord:
        """Return the record of the model's champion."""
        from feature_ops.training.champion import ChampionRecord

        return ChampionRecord(self.registry(), store, self.model.name)

    def remember_refusal(
        self, store: ObjectStore, facts: Mapping[str, Any], reason: str, result: TrainingResult
    ) -> None:
        """Note that what the steps pass on was refused, so that it is not trained again by itself."""
        from feature_ops.training.model_registry import TEST
        from feature_ops.training.rejections import Rejections

        recipe, newest = self.recipe(facts), self.registry().by_alias(TEST)
        Rejections(store, self.model.name).remember(
            recipe,
            str(facts["commit"]),
            reason,
            result.dataset_version,
            accepted_before=newest is not None and newest.recipe == recipe,
        )


class RetrainOperator(TrainingOperator):
    """
    Train on the applied definition if no accepted model is trained on it, with the code of its commit, yet.

    What is compared is the definition of the model's service and the model's code with those of the newest
    model, not what this run has applied: a training that failed is made up for by the next run. What was
    trained and refused is not trained again by itself. A run that an alert started trains anyway; see
    :mod:`feature_ops.triggers`.

    :param diff: facts of the :class:`~feature_ops.feast.definition_operators.DiffFeatureServiceOperator`:
        a commit whose definitions mean the same as the applied ones is trained on itself. (templated)
    :param changed: result of the :class:`~feature_ops.feast.definition_operators.ChangedOperator`.
        (templated)
    :param backfilled: result of the :class:`~feature_ops.feast.operators.BackfillOperator`, which is needed
        unless ``changed`` was skipped. (templated)
    :param force: train anyway. (templated)
    :param accept_regression_reason: if given, train also what was refused before; see the
        :class:`EvaluateOperator`. (templated)
    :param datasets: datasets whose history must be complete before a training that reads it starts.
    """

    template_fields: Sequence[str] = ("diff", "changed", "backfilled", "force", "accept_regression_reason")
    needs: ClassVar[Mapping[str, Needs]] = {
        "diff": Needs(("commit", "needed", "resolved_at"), ("applied",)),
        "changed": Needs(("commit",), optional=True, skippable=True),
        "backfilled": Needs(optional=True, skippable=True),
    }
    operator_extra_links: Collection[Any] = (MlflowRunLink(),)

    def __init__(
        self,
        *,
        diff: Any,
        changed: Any = None,
        backfilled: Any = None,
        force: bool | str = False,
        accept_regression_reason: str = "",
        datasets: Sequence[Dataset] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.diff: Mapping[str, Any] = diff
        self.changed: Mapping[str, Any] | None = changed
        self.backfilled: Mapping[str, Any] | None = backfilled
        self.force = force
        self.accept_regression_reason = accept_regression_reason
        self.datasets = datasets
        self._pod: PodTraining | None = None

    def needed(self) -> Mapping[str, Needs]:
        """Return what is needed: where nothing was to be applied, Airflow has skipped the backfill."""
        if was_skipped(self.changed):
            return {name: needs for name, needs in self.needs.items() if name != "backfilled"}
        return self.needs

    def reconcile(self, context: Context) -> Outcome:
        """Find what is to be trained, train it, and return where its result is."""
        from feature_ops.feast.applied_commit import AppliedCommit
        from feature_ops.feast.hook import FeastHook
        from feature_ops.git.hook import GitRepositoryHook
        from feature_ops.training.model_registry import TEST
        from feature_ops.training.superseded import refuse_superseded
        from feature_ops.work_folder import work_folder

        hook = FeastHook()
        state = AppliedCommit(hook.registry_url(), hook.project()).state()
        if state.applied is None or state.begun is not None:
            raise NothingPendingError("nothing to train: no commit is applied completely yet")
        basis = self.basis(self.diff, (self.diff["commit"], self.diff["applied"]))
        refuse_superseded(self.model.name, basis, state.applied, self.registry().by_alias(TEST))
        with (
            work_folder("training") as folder,
            GitRepositoryHook(get_settings().git_conn_id).commits(folder / "git") as commits,
        ):
            commit = state.applied if self.diff["needed"] else str(self.diff["commit"])
            self._require_signatures(commits, commit, folder / "signers")
            base = {"applied": state.applied, "resolved_at": basis.resolved_at}
            plan = self._plan(hook, commits, commit, context, folder / "definitions", **base)
            if hook.object_store.exists(plan.result_uri):
                self.log.info("An earlier try of this run has trained it: %s", plan.result_uri)
            else:
                if self._complete_history(hook, plan, folder / "copies"):
                    # The data version covers the restored files, too.
                    plan = self._plan(hook, commits, commit, context, folder / "definitions", **base)
                self._train(context, hook, commits, plan, folder / "code")
        return plan.outcome(self.result(plan.result_uri))

    def _require_signatures(self, commits: Commits, commit: str, scratch: Path) -> None:
        from feature_ops.git.signatures.required import require_signatures

        folders = [get_settings().feature_repo_path, self.model.code_path]
        require_signatures(commits, commit, self.diff["applied"], folders, scratch)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the wait for a pod; its name is that of the provider's operator."""
        from feature_ops.training.pod_training import PodTraining

        def finish(context: Context) -> Outcome:
            self._pod = PodTraining(self.model, self.task_id, context["task_state_store"])
            plan = self._pod.finish(context, event)
            return plan.outcome(self.result(plan.result_uri))

        return self.tell(context, finish)

    def on_kill(self) -> None:
        """Remove the pod, if there is one."""
        if self._pod:
            self._pod.kill()

    def _complete_history(self, hook: FeastHook, plan: TrainingPlan, folder: Path) -> bool:
        from feature_ops.feast.definitions_store import DefinitionsStore
        from feature_ops.training.history_guard import complete_history_of

        definitions = DefinitionsStore(hook.object_store).get(plan.commit)
        return definitions is not None and complete_history_of(
            self.model.feature_service, definitions, self.datasets, hook.object_store, folder
        )

    def _train(
        self, context: Context, hook: FeastHook, commits: Commits, plan: TrainingPlan, folder: Path
    ) -> None:
        if get_settings().training_place == "pod":
            self._start_pod(context, hook, plan)
        else:
            self._train_here(hook, commits, plan, folder)

    def _start_pod(self, context: Context, hook: FeastHook, plan: TrainingPlan) -> None:
        from feature_ops.training.pod_training import PodTraining

        self._pod = PodTraining(self.model, self.task_id, context["task_state_store"])
        self._pod.start(context, hook, plan)

    def _plan(
        self, hook: FeastHook, commits: Commits, commit: str, context: Context, folder: Path, **base: str
    ) -> TrainingPlan:
        from feature_ops.training.plan import TrainingPlan

        definitions = self._definitions(hook, commits, commit, folder)
        recipe, dataset_version, environment = self._made_of(hook, commits, commit, definitions)
        return TrainingPlan(
            commit=commit,
            recipe=recipe,
            why=self._why(hook, recipe, dataset_version, Alert.of_run(context["dag_run"].conf)),
            dataset_version=dataset_version,
            result_uri=self._result_uri(str(context["dag_run"].run_id), commit, recipe),
            environment=environment,
            **base,
        )

    def _why(self, hook: FeastHook, recipe: Recipe, dataset_version: str, alert: Alert | None) -> str:
        from feature_ops.training.model_registry import TEST
        from feature_ops.training.reasons import Reasons
        from feature_ops.training.rejections import Rejections
        from feature_ops.triggers import Cause

        forced = str(self.force).strip().lower() in ("true", "1", "yes", "on")
        newest = self.registry().by_alias(TEST)
        reasons = Reasons.found(recipe, dataset_version, newest, get_settings(), forced, alert)
        if not reasons.causes:
            version = f"version {newest.version} of {self.model.name}" if newest else self.model.name
            raise NothingPendingError(
                f"nothing to train: {version} is trained on this definition of "
                f"{self.model.feature_service}, with this code"
            )
        refused = Rejections(hook.object_store, self.model.name).reason(
            recipe, dataset_version, data_count=Cause.DATA in reasons.causes
        )
        if refused and not reasons.asked_for and not self.accept_regression_reason.strip():
            raise NothingPendingError(
                f"not trained again: a model on this definition and code was {refused}. Change one of them, "
                "or trigger with force_training"
            )
        return reasons.text

    def _made_of(
        self, hook: FeastHook, commits: Commits, commit: str, definitions: Definitions
    ) -> tuple[Recipe, str, dict[str, str]]:
        """Return the model's training fingerprint, its data version, and what its training runs in."""
        from feature_ops.feast.diff.definitions import service_hash
        from feature_ops.training.data_version import data_version
        from feature_ops.training.plan import training_environment
        from feature_ops.training.recipe import Recipe, code_hash

        try:
            definition = service_hash(definitions, self.model.feature_service)
            data = data_version(definitions, self.model, hook.object_store)
        except KeyError:
            raise BadInputError(
                f"commit {commit[:10]} has no feature service {self.model.feature_service!r}, on which "
                f"{self.model.name} is trained: define it, or correct the model's declaration"
            ) from None
        code = commits.contents_of(commit, self.model.code_path)
        recipe = Recipe(definition, code_hash(code, self.model.not_code))
        return recipe, data, training_environment(get_settings(), self.model, commit, code)

    def _definitions(self, hook: FeastHook, commits: Commits, commit: str, folder: Path) -> Definitions:
        from feature_ops.feast.definitions_store import DefinitionsStore
        from feature_ops.feast.diff.loading import load

        store = DefinitionsStore(hook.object_store)
        definitions = store.get(commit)
        if definitions is None:
            commits.export(commit, get_settings().feature_repo_path, folder)
            label = f"commit {commit[:10]}"
            definitions = load({label: folder})[label]
            store.put(commit, definitions)
        return definitions

    def _result_uri(self, run_id: str, commit: str, recipe: Recipe) -> str:
        from feature_ops.datasets.stage import run_folder

        # A prefix of its own, the only one that a training's credentials need to write to.
        prefix = f"{get_settings().storage_uri}/_training/{self.model.name}/results/"
        return f"{prefix}{run_folder(run_id)}/{commit[:12]}-{recipe.key}.json"

    def _train_here(self, hook: FeastHook, commits: Commits, plan: TrainingPlan, folder: Path) -> None:
        from feature_ops.feast.configuration import configuration_file
        from feature_ops.known_secrets import airflow_secrets
        from feature_ops.training.credentials import TrainingCredentials
        from feature_ops.training.process import run_in_process

        settings = get_settings()
        code, features, scratch = folder / "model", folder / "feature_repo", folder / "scratch"
        commits.export(plan.commit, self.model.code_path, code)
        commits.export(plan.commit, settings.feature_repo_path, features)
        # Definitions come from the commit, where the store is from the deployment.
        shutil.copyfile(configuration_file(hook.feature_repo), configuration_file(features))
        scratch.mkdir()
        credentials = TrainingCredentials.of(settings, hook.feature_repo)
        run_in_process(
            plan.command(self.model, str(features)),
            code,
            credentials.environment,
            credentials.secrets | airflow_secrets(),
            settings.training_timeout,
            settings.training_python,
            scratch=scratch,
            ports=credentials.ports,
            readable=(features, *settings.training_readable),
            required=settings.sandbox_required,
        )


class EvaluateOperator(TrainingOperator):
    """
    Decide whether the trained model may go on; a refused one is remembered and fails the step.

    :param trained: facts of the :class:`RetrainOperator`. (templated)
    :param accept_regression_reason: if given, a model that is worse than the champion is accepted, and the
        reason is recorded with it; gates that do not compare with the champion always hold. (templated)
    """

    template_fields: Sequence[str] = ("trained", "accept_regression_reason")
    needs: ClassVar[Mapping[str, Needs]] = {"trained": Needs(_TRAINED)}
    operator_extra_links: Collection[Any] = (MlflowRunLink(),)

    def __init__(self, *, trained: Any, accept_regression_reason: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trained: Mapping[str, Any] = trained
        self.accept_regression_reason = accept_regression_reason

    def reconcile(self, context: Context) -> Outcome:
        """Judge by the gates of the settings."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.gates import Gates, judge
        from feature_ops.training.regression import AcceptedRegression

        self.refuse_superseded(self.trained)
        settings, store = get_settings(), FeastHook().object_store
        result = self.result(self.trained["result_uri"])
        user = getattr(context["dag_run"], "triggering_user_name", None)
        regression = AcceptedRegression.of_form(self.accept_regression_reason, user)
        judgement = judge(result, Gates.of(settings), regression, self._not_compared(result, store))
        if not judgement.accepted:
            self.remember_refusal(store, self.trained, judgement.summary, result)
            remedy = (
                ". To accept the regression, trigger the DAG with accept_regression_reason"
                if judgement.only_worse
                else ""
            )
            raise BadInputError(f"{judgement.summary}. Nothing is deployed; the champion stays{remedy}")
        accepted = regression.facts if regression and judgement.waived else None
        return Outcome(judgement.summary, {**self.trained, "accepted_regression": accepted})

    def _not_compared(self, result: TrainingResult, store: ObjectStore) -> str:
        """Return why a training has no comparison: it matters whether a champion existed."""
        if result.champion is not None:
            return ""
        state = self.champion_record(store).state()
        if state.missing:
            return f"not compared with a champion: {state.missing}"
        return (
            f"the training did not compare it with the champion, version {state.current.version}"
            if state.current
            else "no champion to compare with"
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The model that was judged, also where it was refused."""
        if self.missing_result():
            return {}
        told = {name: self.trained.get(name) for name in ("commit", "run_id", "metrics")}
        accepted = outcome.facts.get("accepted_regression") if outcome else None
        return {**super().status(outcome), **told, "accepted_regression": accepted}


class RegisterOperator(TrainingOperator):
    """
    Make the accepted model a version in MLflow's registry.

    It is signed if ``FEATURE_OPS_MODEL_SIGNING_KEY`` is set.

    :param evaluated: facts of the :class:`EvaluateOperator`. (templated)
    """

    template_fields: Sequence[str] = ("evaluated",)
    needs: ClassVar[Mapping[str, Needs]] = {"evaluated": Needs(_TRAINED)}
    operator_extra_links: Collection[Any] = (MlflowRunLink(),)

    def __init__(self, *, evaluated: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluated: Mapping[str, Any] = evaluated

    def reconcile(self, context: Context) -> Outcome:
        """Register once, however often it is tried."""
        from feature_ops.training.regression import AcceptedRegression

        self.refuse_superseded(self.evaluated)
        result, registry = self.result(self.evaluated["result_uri"]), self.registry()
        version = registry.register(
            result,
            self.model.feature_service,
            code_hash=str(self.evaluated["code_hash"]),
            result_uri=str(self.evaluated["result_uri"]),
            resolved_at=str(self.evaluated["resolved_at"]),
            description=self.model.description,
        )
        self._sign(version, result)
        regression = AcceptedRegression.of_facts(self.evaluated)
        if regression:
            registry.note(version, regression.tags)
        return Outcome(
            f"version {version} of {self.model.name}: commit {result.git_commit[:10]}, data "
            f"{result.dataset_version[:10]}, {len(result.features)} features"
            f"{f'; regression accepted: {regression.text}' if regression else ''}",
            {**self.evaluated, "version": version},
        )

    def _sign(self, version: str, result: TrainingResult) -> None:
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.signing import SignedVersions
        from feature_ops.work_folder import work_folder

        settings = get_settings()
        if settings.model_signing_key is None:
            return
        signatures = SignedVersions(
            self.registry(),
            FeastHook().object_store,
            self.model,
            settings.model_signing_key,
            f"{settings.storage_uri}/_signatures/",
        )
        with work_folder("signing") as folder:
            signatures.sign(version, result, self.evaluated, folder)


class DeployTestOperator(TrainingOperator):
    """
    Have the test instance answer with the new version.

    The alias ``test`` moves, and the service takes the version after it has answered a self-test. If it
    refuses it, the alias goes back. The first version of a model that never had a champion becomes the
    champion, too; a champion that is missing is replaced by an approval only.

    :param registered: facts of the :class:`RegisterOperator`. (templated)
    """

    template_fields: Sequence[str] = ("registered",)
    needs: ClassVar[Mapping[str, Needs]] = {"registered": Needs((*_TRAINED, "version"))}
    operator_extra_links: Collection[Any] = (MlflowRunLink(), ModelPageLink())

    def __init__(self, *, registered: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registered: Mapping[str, Any] = registered

    def reconcile(self, context: Context) -> Outcome:
        """Move the alias and wait for the service's word."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.deployment import Deployment
        from feature_ops.training.model_registry import CHAMPION, TEST
        from feature_ops.training.rejections import Rejections

        self.refuse_superseded(self.registered)
        settings, registry, name = get_settings(), self.registry(), self.model.name
        version, store = str(self.registered["version"]), FeastHook().object_store
        result = self.result(self.registered["result_uri"])
        features = result.features
        test = Deployment(registry, store, name, TEST, settings.test_service_url, settings.deploy_timeout)
        refused = test.move(version, features)
        if refused:
            reason = f"refused by the test service: {refused}"
            self.remember_refusal(store, self.registered, reason, result)
            raise BadInputError(f"version {version} is {reason}. The model before it stays")
        Rejections(store, name).forget(self.recipe(self.registered))
        champion = self.champion_record(store).state()
        if champion.never:
            # There is nothing to compare it with; production's service takes it at its next poll.
            Deployment(registry, store, name, CHAMPION, None, 0).move(version, features)
        where = settings.test_service_url or f"the alias {TEST}"
        also = "; it is the first, so it is the champion, too" if champion.never else ""
        if champion.missing:
            also = f"; {champion.missing}: production changes only by an approval in promote_model"
        return Outcome(
            f"version {version} of {name} answers at {where}{also}",
            {
                **self.registered,
                "service_url": settings.test_service_url,
                "champion_missing": champion.missing,
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The model's versions that answer."""
        from feature_ops.ui.models import aliases

        told = super().status(outcome)
        if outcome is None:
            return told
        missing = outcome.facts["champion_missing"]
        return {**told, "aliases": aliases(self.registry()), "champion_missing": missing}

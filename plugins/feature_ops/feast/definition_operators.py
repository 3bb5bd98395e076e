"""The steps from a commit to an applied feature definition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from feature_ops.alerts.alert import Alert
from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.git.links import GitCommitLink
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.triggers import Cause, decide
from feature_ops.upstream import Needs

if TYPE_CHECKING:
    from feature_ops.datasets.dataset import Dataset
    from feature_ops.feast.definitions_store import DefinitionsStore
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.feast.diff.unsupported import TrainedService
    from feature_ops.feast.diff.verdict import Diff
    from feature_ops.feast.hook import FeastHook
    from feature_ops.git.commits import Commits

_CHANGES_TOLD = 100
# What people know a commit by.
_COMMIT = ("commit", "subject", "author", "committed_at", "commit_url")
# What a comparison rests on; the tasks that act on it later check that it still holds.
_BASE = ("applied", "applied_at", "begun")


class ResolveCommitsOperator(ReconcilingOperator):
    """
    Find the commit that is wanted and the one that is applied.

    Both are looked up now, never taken from the event that started the run: of ten commits in a burst
    the first run takes the last.

    :param revision: branch, tag or commit; empty for the watched branch's newest commit. (templated)
    """

    template_fields: Sequence[str] = ("revision",)
    operator_extra_links: Collection[Any] = (GitCommitLink(),)

    def __init__(self, *, revision: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.revision = revision

    def reconcile(self, context: Context) -> Outcome:
        """Ask the git server and the registry."""
        from feature_ops.feast.applied_commit import AppliedCommit
        from feature_ops.feast.hook import FeastHook
        from feature_ops.git.hook import GitRepositoryHook
        from feature_ops.work_folder import work_folder

        settings = get_settings()
        feast = FeastHook()
        # Before the states are read: what changes meanwhile is newer than this comparison.
        resolved_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        state = AppliedCommit(feast.registry_url(), feast.project()).state()
        with (
            work_folder("resolve") as folder,
            GitRepositoryHook(settings.git_conn_id).commits(folder) as commits,
        ):
            commit = commits.resolve(self.revision)
            info = commits.info(commit)
        where = self.revision.strip() or settings.git_branch
        applied = f"{state.applied[:10]} is applied" if state.applied else "no commit is applied yet"
        begun = f"; the apply of {state.begun[:10]} was begun and is to be completed" if state.begun else ""
        template = settings.git_commit_url
        return Outcome(
            f"{where} is {commit[:10]} “{info.subject}” by {info.author}; {applied}{begun}",
            {
                "commit": commit,
                "subject": info.subject,
                "author": info.author,
                "committed_at": info.committed_at,
                "applied": state.applied,
                "applied_at": state.applied_at,
                "begun": state.begun,
                "resolved_at": resolved_at,
                "commit_url": template.replace("{commit}", commit) if template else None,
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The commit that the run evaluates, and the one that is applied."""
        facts = outcome.facts if outcome else {}
        told = {name: facts[name] for name in (*_COMMIT, "applied") if name in facts}
        return {"step": "resolve", "revision": self.revision.strip(), **told} if told else {}


class DiffFeatureServiceOperator(ReconcilingOperator):
    """
    Say what the wanted commit changes in the features, by meaning and not by text.

    The commit's code runs in a confined process of its own, see docs/diff.md. Where no applied commit is
    known, or the git server has lost it, the registry itself is what is compared with.

    :param resolved: facts of the :class:`ResolveCommitsOperator`. (templated)
    :param feature_service: the service that a model is trained on, whose changes are reported without its
        name; none if there are several.
    :param entity_columns: join keys and request values that training rows and predictions of the model have;
        the service may need no others. Empty: not checked.
    :param datasets: datasets from which the views are loaded, those of that service from no others. A commit
        that adds a view which cannot be loaded from one of them is refused. Empty: not checked.
    :param code_paths: folders of the repository with further code that is run, such as a model's. If
        ``FEATURE_OPS_GIT_ALLOWED_SIGNERS`` is set, each commit that changes them or the feature definitions
        must be signed. None: each commit, whatever it changes.
    """

    template_fields: Sequence[str] = ("resolved",)
    needs: ClassVar[Mapping[str, Needs]] = {"resolved": Needs(("commit", "resolved_at"), _BASE)}
    operator_extra_links: Collection[Any] = (GitCommitLink(),)

    def __init__(
        self,
        *,
        resolved: Any,
        feature_service: str | None = None,
        entity_columns: Sequence[str] = (),
        datasets: Sequence[Dataset] = (),
        code_paths: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.code_paths = code_paths
        self.resolved: Mapping[str, Any] = resolved
        self.feature_service = feature_service
        self.entity_columns = tuple(entity_columns)
        self.datasets = datasets

    def reconcile(self, context: Context) -> Outcome:
        """Compare the cheapest way first: commits, then input files, then the definitions."""
        from feature_ops.git.hook import GitRepositoryHook
        from feature_ops.git.signatures.required import require_signatures
        from feature_ops.work_folder import work_folder

        commit, applied, begun = (self.resolved[name] for name in ("commit", "applied", "begun"))
        if commit == applied and not begun:
            return self._nothing(f"none: {commit[:10]} is applied already")
        with (
            work_folder("diff") as folder,
            GitRepositoryHook(get_settings().git_conn_id).commits(folder / "git") as commits,
        ):
            require_signatures(commits, commit, applied, self._signed_folders(), folder / "signers")
            new = self._export(commits, commit, folder / "new")
            old = self._export_applied(commits, applied, folder / "old")
            if old and not begun and self._same_inputs(old, new):
                return self._nothing(f"none: {applied[:10]} → {commit[:10]} differ in no file that counts")
            return self._compare(new, old)

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The commit and what it changes."""
        if self.missing_result():
            return {}
        told = ("needed", "verdict", "summary", "changes", "services")
        changes = {name: outcome.facts[name] for name in told} if outcome else {}
        return {"step": "diff", **self._commit(), "applied": self.resolved["applied"], **changes}

    def _signed_folders(self) -> Sequence[str]:
        return [""] if self.code_paths is None else [get_settings().feature_repo_path, *self.code_paths]

    def _commit(self) -> dict[str, Any]:
        return {name: self.resolved.get(name) for name in _COMMIT}

    def _comparison(self) -> dict[str, Any]:
        return {name: self.resolved[name] for name in (*_BASE, "resolved_at")}

    def _compare(self, new: Path, old: Path | None) -> Outcome:
        from feature_ops.feast.definitions_store import DefinitionsStore
        from feature_ops.feast.diff.compare import compare
        from feature_ops.feast.diff.definitions import Definitions
        from feature_ops.feast.diff.loading import try_load
        from feature_ops.feast.hook import FeastHook

        commit, applied = self.resolved["commit"], self.resolved["applied"]
        hook = FeastHook()
        store = DefinitionsStore(hook.object_store)
        known = {name: store.get(name) for name in (commit, applied if old else None) if name}
        folders = {commit: new, **({applied: old} if old else {})}
        missing = {name: folder for name, folder in folders.items() if known.get(name) is None}
        labels = {f"commit {name[:10]}": name for name in missing}
        loaded = try_load({label: missing[name] for label, name in labels.items()}) if missing else {}
        for label, name in labels.items():
            found = loaded[label]
            if isinstance(found, Definitions):
                known[name] = found
                store.put(name, found)
            elif name == commit:
                raise found
            else:
                self.log.warning("%s. Comparing with the registry instead", found)
        wanted = known[commit]
        before = known.get(applied) or self._registered(hook)
        assert wanted is not None
        self._refuse_unloadable(wanted, before)
        diff = compare(before, wanted, self._trained())
        self._refuse_unsupported(diff, hook)
        return self._told(diff, store, wanted)

    def _trained(self) -> TrainedService | None:
        from feature_ops.feast.diff.unsupported import TrainedService

        if not self.feature_service:
            return None
        sources = tuple(dataset.uri for dataset in self.datasets)
        return TrainedService(self.feature_service, self.entity_columns, sources)

    def _refuse_unsupported(self, diff: Diff, hook: FeastHook) -> None:
        """Raise before anything is applied; definitions that are applied already are only logged."""
        from feature_ops.exceptions import BadInputError
        from feature_ops.feast.diff.unsupported import versioned_reads
        from feature_ops.feast.diff.verdict import Verdict, printable

        obstacles = [printable(obstacle) for obstacle in diff.obstacles]
        if hook.configuration.versions_online:
            obstacles.append(versioned_reads())
        for obstacle in obstacles:
            self.log.warning("Not supported: %s", obstacle)
        if obstacles and (diff.verdict > Verdict.NONE or self.resolved["begun"]):
            commit = self.resolved["commit"][:10]
            raise BadInputError(f"commit {commit} cannot be applied: {'; '.join(obstacles)}")

    def _refuse_unloadable(self, wanted: Definitions, before: Definitions) -> None:
        from feature_ops.feast.loadable import refuse_unloadable

        for problem in refuse_unloadable(wanted, before, self.datasets, self.resolved["commit"]):
            self.log.warning("Cannot be loaded, as before: %s", problem)

    def _told(self, diff: Diff, store: DefinitionsStore, wanted: Definitions) -> Outcome:
        from feature_ops.feast.diff.verdict import Verdict

        commit = self.resolved["commit"]
        for change in diff.changes:
            self.log.info("%s: %s", change.verdict, change.sentence)
        begun = self.resolved["begun"]
        summary = diff.summary(self.feature_service)
        return Outcome(
            f"{summary}; an apply that was begun is completed" if begun else summary,
            {
                **self._commit(),
                **self._comparison(),
                "needed": diff.verdict > Verdict.NONE or bool(begun),
                "verdict": str(diff.verdict),
                "summary": summary,
                "changes": [change.sentence for change in diff.changes][:_CHANGES_TOLD],
                "services": {name: str(verdict) for name, verdict in diff.services},
                "definitions_uri": store.uri(commit),
                "definitions_digest": wanted.digest(),
            },
        )

    def _nothing(self, summary: str) -> Outcome:
        known = {**self._commit(), **self._comparison()}
        facts = {**known, "needed": False, "verdict": "none", "summary": summary}
        return Outcome(
            summary,
            {**facts, "changes": [], "services": {}, "definitions_uri": None, "definitions_digest": None},
        )

    def _export(self, commits: Commits, commit: str, folder: Path) -> Path:
        commits.export(commit, get_settings().feature_repo_path, folder)
        return folder

    def _export_applied(self, commits: Commits, applied: str | None, folder: Path) -> Path | None:
        from feature_ops.exceptions import BadInputError
        from feature_ops.git.errors import UnknownRevisionError

        if not applied:
            self.log.info("No applied commit is known: comparing with the registry")
            return None
        try:
            return self._export(commits, applied, folder)
        except UnknownRevisionError as error:
            self.log.warning("%s. Comparing with the registry instead", error)
        except BadInputError as error:
            self.log.warning("The applied commit can't be read: %s. Comparing with the registry", error)
        return None

    def _same_inputs(self, old: Path, new: Path) -> bool:
        from feature_ops.feast.diff.inputs import same_inputs

        return same_inputs(old, new)

    def _registered(self, hook: Any) -> Definitions:
        from feature_ops.feast.diff.describe import describe_registry

        store = hook.store()
        store.refresh_registry()
        return describe_registry(store.registry, store.project)


class ChangedOperator(ReconcilingOperator):
    """
    Let the steps that follow run only if there is something to apply, and say why if there is not.

    :param diff: facts of the :class:`DiffFeatureServiceOperator`. (templated)
    """

    template_fields: Sequence[str] = ("diff",)
    needs: ClassVar[Mapping[str, Needs]] = {"diff": Needs(("commit", "needed", "summary"))}

    def __init__(self, *, diff: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.diff: Mapping[str, Any] = diff

    def reconcile(self, context: Context) -> Outcome:
        """Skip what follows, or let it run."""
        alert = Alert.of_run(context["dag_run"].conf)
        causes = {Cause.FEATURES} if self.diff["needed"] else {Cause.WORDS}
        decision = decide(causes | ({Cause.ALERT} if alert else set()), get_settings())
        summary = str(self.diff["summary"])
        if not self.diff["needed"]:
            raise NothingPendingError(f"nothing to apply; {summary}")
        if not decision.applies:
            why = (
                f"started by the {alert.reason}: nothing is applied"
                if alert
                else "not applied, since FEATURE_OPS_APPLY_FEATURE_CHANGES is off"
            )
            raise NothingPendingError(f"{why}; {summary}")
        return Outcome(f"to apply: {summary}", {"commit": self.diff["commit"]})

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """Whether the commit is applied, is shown with the commit."""
        return {"step": "changed", **{name: self.diff.get(name) for name in _COMMIT}}


class ApplyOperator(ReconcilingOperator):
    """
    Make the registry what the commit defines: exactly that commit, all of it.

    Runs apart from Airflow, under the lock that materialization takes, and may be repeated. An apply that
    died in the middle is completed by the next run, whatever commit that one wants. Refuses to apply a commit
    if another one was applied since the two were compared.

    :param diff: facts of the :class:`DiffFeatureServiceOperator`. (templated)
    :param changed: result of the :class:`ChangedOperator`. (templated)
    """

    template_fields: Sequence[str] = ("diff", "changed")
    needs: ClassVar[Mapping[str, Needs]] = {
        "diff": Needs(("commit", "definitions_uri", "definitions_digest", "verdict", "summary"), _BASE),
        "changed": Needs(("commit",), optional=True),
    }
    operator_extra_links: Collection[Any] = (GitCommitLink(),)

    def __init__(self, *, diff: Any, changed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.diff: Mapping[str, Any] = diff
        self.changed: Mapping[str, Any] | None = changed

    def reconcile(self, context: Context) -> Outcome:
        """Hand the definitions to the process that applies them."""
        from feature_ops.exceptions import FeatureOpsError
        from feature_ops.feast.applied_commit import AppliedState
        from feature_ops.feast.apply_process import ApplyRequest
        from feature_ops.feast.applying import run_apply
        from feature_ops.feast.definitions_store import DefinitionsStore
        from feature_ops.feast.hook import FeastHook
        from feature_ops.known_secrets import airflow_secrets
        from feature_ops.training.live_models import live_features

        settings = get_settings()
        hook = FeastHook()
        commit = str(self.diff["commit"])
        if self.changed is not None and self.changed["commit"] != commit:
            raise BadInputError(
                f"{self.named('changed')} decided about commit {self.changed['commit'][:10]}, not about "
                f"{commit[:10]}: clear it and the tasks after it; nothing was changed"
            )
        definitions = DefinitionsStore(hook.object_store).get(commit)
        if definitions is None:
            raise FeatureOpsError(
                f"{self.diff['definitions_uri']} is missing: clear {self.named('diff')} and the tasks "
                "after it"
            )
        if definitions.digest() != self.diff["definitions_digest"]:
            raise BadInputError(
                f"{self.diff['definitions_uri']} is not what was classified: another process has changed it. "
                f"Delete it, then clear {self.named('diff')} and the tasks after it; nothing was changed"
            )
        request = ApplyRequest(
            commit=commit,
            definitions=definitions,
            feature_repo=hook.feature_repo.resolve(),
            live=live_features(hook.object_store),
            dump_prefix=f"{settings.storage_uri}/_registry/{hook.project()}/",
            lock_timeout=settings.lock_timeout,
            base=AppliedState(*(self.diff[name] for name in ("applied", "begun", "applied_at"))),
            compared_by=self.first_task(),
            required=settings.sandbox_required,
        )
        applied = run_apply(request, hook.environment(), hook.secrets() | airflow_secrets())
        for what, names in (
            ("created", applied.created),
            ("updated", applied.updated),
            ("deleted", applied.deleted),
        ):
            if names:
                self.log.info("%s: %s", what, ", ".join(names))
        self.log.info("The registry as it was before is at %s", applied.dump_uri)
        return Outcome(
            f"{commit[:10]} is applied: {self.diff['summary']}",
            {
                "commit": commit,
                "commit_url": self.diff.get("commit_url"),
                "verdict": self.diff["verdict"],
                "created": applied.created,
                "updated": applied.updated,
                "deleted": applied.deleted,
                "dump_uri": applied.dump_uri,
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The commit and what it changed."""
        if self.missing_result():
            return {}
        told = (*_COMMIT, "verdict", "summary", "changes", "services")
        return {"step": "apply", **{name: self.diff.get(name) for name in told}}

"""Operators that promote a candidate from the test service to production, with an approval in between."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.masking import describe_unexpected, shown_address
from feature_ops.operator import Outcome, for_users, summarize
from feature_ops.settings import get_settings
from feature_ops.training.approval import AUTO_APPROVE, Approval, asked
from feature_ops.training.declaration import Model
from feature_ops.training.operators import TrainingOperator
from feature_ops.training.regression import AcceptedRegression
from feature_ops.ui.links import ModelPageLink
from feature_ops.ui.status import report
from feature_ops.upstream import Needs, ReadsResults

if TYPE_CHECKING:
    from feature_ops.git.commit_info import CommitInfo
    from feature_ops.training.approval_request import Scored
    from feature_ops.training.model_registry import ModelRegistry, ModelVersion
    from feature_ops.training.result import TrainingResult


class FindCandidateOperator(TrainingOperator):
    """
    Find the candidate for production and write the approval request.

    :param version: a version's number; empty for the one that is deployed in test. (templated)
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(self, *, version: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def reconcile(self, context: Context) -> Outcome:
        """Compare it with the champion."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.approval_request import ApprovalRequest, Links
        from feature_ops.training.gates import Gates
        from feature_ops.training.model_registry import TEST

        settings, registry, name = get_settings(), self.registry(), self.model.name
        in_test, state = registry.by_alias(TEST), self.champion_record(FeastHook().object_store).state()
        champion = state.current
        found = self._candidate(registry, in_test)
        if champion is not None and champion.version == found.version:
            raise NothingPendingError(
                f"nothing to promote: version {found.version} of {name} is in production"
            )
        mlflow = settings.mlflow_page
        request = ApprovalRequest(
            model=self.model,
            candidate=self._scored(registry, found),
            champion=self._scored(registry, champion) if champion else None,
            result=self._result(found),
            gates=Gates.of(settings),
            links=Links(
                commit=settings.git_commit_url,
                run=f"{mlflow}/#/runs/{found.run_id}" if mlflow and found.run_id else None,
                version=f"{mlflow}/#/models/{name}/versions/{found.version}" if mlflow else None,
                service=settings.test_service_url if in_test and in_test.version == found.version else None,
            ),
            commit=self._commit(found),
            missing_champion=state.missing,
        )
        in_production = (
            f"version {champion.version} is in production"
            if champion
            else state.missing or "no version is in production yet"
        )
        return Outcome(
            f"version {found.version} of {name} (commit {found.git_commit[:10]}) is the candidate; "
            f"{in_production}",
            {
                "version": found.version,
                "champion": champion.version if champion else None,
                "champion_since": champion.promoted_at if champion else None,
                "in_test": in_test.version if in_test else None,
                "subject": request.subject,
                "body": request.body,
                "reason_required": request.reason_required,
                "accepted_regression": found.accepted_regression and found.accepted_regression.facts,
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """No more than its line: Airflow itself lists what waits for approval."""
        return {}

    def _candidate(self, registry: ModelRegistry, in_test: ModelVersion | None) -> ModelVersion:
        wanted = self.version.strip()
        found = registry.by_number(wanted) if wanted else in_test
        if found is None:
            raise BadInputError(
                f"{self.model.name} has no version {shown_address(wanted)!r}: enter the number of a version "
                "in MLflow"
                if wanted
                else f"no version of {self.model.name} is deployed in test yet: run the training DAG first"
            )
        return found

    def _scored(self, registry: ModelRegistry, version: ModelVersion) -> Scored:
        from feature_ops.training.approval_request import Scored

        return Scored(version, registry.metrics(version))

    def _result(self, version: ModelVersion) -> TrainingResult | None:
        from feature_ops.feast.hook import FeastHook

        if not version.result_uri or not FeastHook().object_store.exists(version.result_uri):
            return None
        return self.result(version.result_uri)

    def _commit(self, version: ModelVersion) -> CommitInfo | None:
        """Read author and subject of the commit; they are best effort, as git may be unreachable."""
        from feature_ops.git.hook import GitRepositoryHook
        from feature_ops.work_folder import work_folder

        try:
            with (
                work_folder("approval") as folder,
                GitRepositoryHook(get_settings().git_conn_id).commits(folder / "git") as commits,
            ):
                return commits.info(version.git_commit)
        except Exception as error:
            self.log.warning(
                "The approval request has no author and subject of the commit: %s", describe_unexpected(error)
            )
            return None


class ApproveOperator(ApprovalOperator, ReadsResults):  # type: ignore[misc]
    """
    Wait for an approval, until a newer candidate replaces this one or the time is over.

    If the candidate is rejected, superseded or timed out, the next steps are skipped. With
    ``FEATURE_OPS_AUTO_APPROVE`` the candidate is approved without a request. A candidate that is worse than
    the champion is approved with a reason only.

    :param model: the model to promote.
    :param candidate: facts of the :class:`FindCandidateOperator`. (templated)
    """

    template_fields: Sequence[str] = ("candidate", "subject", "body")
    needs: ClassVar[Mapping[str, Needs]] = {
        "candidate": Needs(("version", "subject", "body"), ("champion", "champion_since", "in_test"))
    }

    def __init__(self, *, model: Model, candidate: Any, **kwargs: Any) -> None:
        # Airflow puts those of the DAG there, which are no questions to the person.
        kwargs["params"] = {"why": _why("")}
        super().__init__(subject="", body="", **kwargs)
        self.model = model
        self.candidate: Mapping[str, Any] = candidate

    def execute(self, context: Context) -> Any:
        """Ask, unless nobody is to be asked; returns the record of the approval."""
        with self._refusing(context):
            self.require_results()
        if not get_settings().auto_approve:
            return self._ask(context)
        line = f"approved, since {AUTO_APPROVE} is on"
        summarize(context, line)
        report(self, context, "success", line)
        accepted = AcceptedRegression.of_facts(self.candidate)
        return Approval.of(asked(self.candidate), AUTO_APPROVE, accepted.reason if accepted else "").to_json()

    @contextmanager
    def _refusing(self, context: Context) -> Iterator[None]:
        try:
            yield
        except BadInputError as error:
            line = for_users(str(error))
            summarize(context, line, logging.ERROR)
            report(self, context, "failed", line, refused=True)
            raise AirflowFailException(line) from None

    def _ask(self, context: Context, note: str = "") -> None:
        """Put the question, and wait without a worker."""
        from feature_ops.training.approval_trigger import ApprovalTrigger

        settings = get_settings()
        self.subject, self.body = str(self.candidate["subject"]), str(self.candidate["body"])
        if self.candidate.get("reason_required"):
            # The form has no default then, so that it can't be sent without a reason.
            self.params["why"] = _why(None, minLength=1)
        try:
            super().execute(context)
        except TaskAwaitingInput:
            summarize(context, f"{note}waiting for approval: {self.subject}")
        deadline = datetime.now(UTC) + timedelta(seconds=settings.approval_timeout)
        # Airflow's own waiting has no way to end by what happens elsewhere; a person's answer resumes
        # a deferred task just as well.
        self.defer(
            trigger=ApprovalTrigger(
                question=str(context["task_instance"].id),
                answer=(self.REJECT, {"why": ""}),
                model=self.model.name,
                tracking_uri=settings.mlflow_tracking_uri or "",
                in_test=self.candidate["in_test"],
                deadline=deadline.isoformat(),
                interval=settings.approval_interval,
            ),
            method_name="execute_complete",
            # The candidate may be another one by the time the approver answers.
            kwargs={"question": asked(self.candidate)},
        )

    def execute_complete(
        self, context: Context, event: dict[str, Any], question: Mapping[str, Any] | None = None
    ) -> Any:
        """Go on as the person, the clock or the newer candidate said."""
        if question is None:
            # It was asked by an older release.
            with self._refusing(context):
                self.require_results()
            question = asked(self.candidate)
        version = question["version"]
        ended = self._ended(event)
        if ended:
            line = f"version {version} is not promoted: {ended}"
            summarize(context, line)
            report(self, context, "skipped", line)
            raise AirflowSkipException(line)
        said = self._said(event)
        option = "approved" if event.get("chosen_options") == [self.APPROVE] else "rejected"
        if option == "approved" and not said["by"]:
            with self._refusing(context):
                raise BadInputError(
                    f"version {version} is not promoted: the approval names no approver. Clear "
                    f"`{self.task_id}` and the tasks after it"
                )
        if option == "approved" and (self.candidate or {}).get("reason_required") and not said["why"]:
            # An answer by API, which Airflow does not check: the question is asked again.
            self._ask(context, "an approval needs a reason; ")
        line = f"{option} by {said['by'] or 'an unknown user'}{f': {why}' if (why := said['why']) else ''}"
        # Before Airflow's own part, which leaves by an exception where the rest is to be skipped.
        summarize(context, line)
        report(self, context, "success" if option == "approved" else "skipped", line)
        super().execute_complete(context, event)
        return Approval.of(question, said["by"], said["why"], event["responded_at"]).to_json()

    def _said(self, event: Mapping[str, Any]) -> dict[str, str]:
        """Return who answered, and why."""
        by = (event.get("responded_by_user") or {}).get("name") or ""
        return {"by": by, "why": str((event.get("params_input") or {}).get("why") or "").strip()}

    def _ended(self, event: Mapping[str, Any]) -> str | None:
        if event.get("superseded_by"):
            return f"version {event['superseded_by']} is the newer candidate"
        if event.get("timed_out"):
            return f"no response within {get_settings().approval_timeout / 3600:.4g} hours"
        return None


def _why(default: str | None, **schema: Any) -> Param:
    return Param(
        default,
        # Airflow shows the request as an error while a field that may not be null is empty.
        type="string" if schema else ["null", "string"],
        title="Reason",
        description="Why you approve or reject. Recorded with the version when it is promoted.",
        source="task",
        **schema,
    )


class PromoteOperator(TrainingOperator):
    """
    Have production answer with the version, and write down who wanted it and why.

    Only with an approval of this very version, and only over the champion that the approver compared it with.

    :param candidate: facts of the :class:`FindCandidateOperator`. (templated)
    :param approval: what the :class:`ApproveOperator` returned. (templated)
    """

    template_fields: Sequence[str] = ("candidate", "approval")
    needs: ClassVar[Mapping[str, Needs]] = {
        "candidate": Needs(("version",)),
        "approval": Needs(("by", "at", "version"), ("why", "champion", "champion_since")),
    }
    operator_extra_links: Collection[Any] = (ModelPageLink(),)

    def __init__(self, *, candidate: Any, approval: Any, **kwargs: Any) -> None:
        # Two at once would each wait for the service to answer with its own version.
        super().__init__(max_active_tis_per_dag=1, **kwargs)
        self.candidate: Mapping[str, Any] = candidate
        self.approval: Mapping[str, Any] = approval

    def reconcile(self, context: Context) -> Outcome:
        """Move the alias, wait for the service's word, note the move."""
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.deployment import Deployment
        from feature_ops.training.model_registry import CHAMPION

        settings, registry, name = get_settings(), self.registry(), self.model.name
        version = registry.by_number(str(self.candidate["version"]))
        if version is None:
            raise BadInputError(f"version {self.candidate['version']} of {name} is gone from MLflow")
        approval = Approval.from_json(self.approval)
        approval.check(version.version, settings.auto_approve, self.named("approval"))
        approval.refuse_superseded(name, registry.by_alias(CHAMPION), self.first_task())
        # Before the alias moves: production never has a version without it.
        by, why = approval.by, approval.why
        approved = {"approved_by": by, "approved_because": why, "approved_at": approval.at}
        registry.note(version.version, approved)
        production = Deployment(
            registry,
            FeastHook().object_store,
            name,
            CHAMPION,
            settings.production_service_url,
            settings.deploy_timeout,
        )
        refused = production.move(version.version, version.features)
        if refused:
            raise BadInputError(
                f"version {version.version} is refused by the production service: {refused}. Production is "
                "as it was"
            )
        registry.note(
            version.version,
            {
                "promoted_by": by,
                "promoted_because": why,
                "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "promoted_instead_of": str(approval.champion or ""),
            },
        )
        where = settings.production_service_url or f"the alias {CHAMPION}"
        return Outcome(
            f"version {version.version} of {name} is in production at {where}, approved by {by}",
            {
                "version": version.version,
                "instead_of": approval.champion,
                "by": by,
                "why": why,
                "commit": version.git_commit,
                "service_url": settings.production_service_url,
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The model's versions that answer, and who decided."""
        from feature_ops.ui.models import aliases

        told = super().status(outcome)
        if outcome is None:
            return told
        decided = {name: outcome.facts[name] for name in ("by", "why", "instead_of")}
        return {**told, **decided, "aliases": aliases(self.registry())}

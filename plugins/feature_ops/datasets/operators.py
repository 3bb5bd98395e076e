"""The first two steps of a dataset's DAG: fetch a file, and accept what is new in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import Context

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.dataset import Dataset
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.upstream import Needs


class IngestOperator(ReconcilingOperator):
    """
    Stream the dataset's source file to the run's staging folder on object storage.

    :param dataset: what is ingested.
    :param dataset_url: where the file is (https, s3, ...). If empty, the run's param ``url_dataset``
        and then the setting ``etl_dataset_url`` say it.
    """

    template_fields: Sequence[str] = ("dataset_url",)

    def __init__(self, *, dataset: Dataset, dataset_url: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.dataset_url = dataset_url

    def reconcile(self, context: Context) -> Outcome:
        """Fetch the file anew, in place of what an earlier try left, and remove old files of other runs."""
        from feature_ops.datasets.fetch import open_source
        from feature_ops.datasets.source import parse_source, wanted_url
        from feature_ops.datasets.stage import SOURCE_FILE, run_folder, stage, sweep
        from feature_ops.object_store import ObjectStore

        settings = get_settings()
        source = parse_source(wanted_url(self.dataset_url, context["params"], settings), settings)
        store = ObjectStore.from_connection(settings.aws_conn_id)
        folder = run_folder(context["dag_run"].run_id, _map_index(context))
        uri = f"{self.dataset.staging_uri}{folder}/{SOURCE_FILE}"
        with open_source(source, store, settings) as chunks:
            staged = stage(chunks, store, uri)
        now = datetime.now(UTC)
        kept = {
            self.dataset.staging_uri: settings.staging_days,
            self.dataset.quarantine_uri: settings.quarantine_days,
        }
        with passing(CommitPoint.STAGING_SWEPT):
            swept = sum(sweep(store, uri, now - timedelta(days=days)) for uri, days in kept.items())
        if swept:
            self.log.info("Removed %d staged or refused files that were older than they are kept", swept)
        return Outcome(
            f"{staged.size:,} bytes from {source.shown}",
            {"staged_uri": staged.uri, "source": source.shown, "bytes": staged.size, "sha256": staged.sha256},
        )


class ValidateOperator(ReconcilingOperator):
    """
    Check the staged file and accept what is new in it; a bad file goes to quarantine with a report.

    :param dataset: its declared columns are the rules.
    :param ingested: output of the :class:`IngestOperator`.
    :param event_timestamp_column: the file's column of the event time; found by name if empty.
    :param repo_url: another repository with the dataset's pointers than the git connection's. (templated)
    """

    template_fields: Sequence[str] = ("ingested", "event_timestamp_column", "repo_url")
    needs: ClassVar[Mapping[str, Needs]] = {"ingested": Needs(("staged_uri", "bytes", "sha256", "source"))}

    def __init__(
        self,
        *,
        dataset: Dataset,
        ingested: Any,
        event_timestamp_column: str | None = "",
        repo_url: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.repo_url = repo_url
        self.ingested: Mapping[str, Any] = ingested
        self.event_timestamp_column = event_timestamp_column

    def reconcile(self, context: Context) -> Outcome:
        """Compare the file with the history and accept the difference."""
        from feature_ops.datasets.stage import StagedFile
        from feature_ops.datasets.validation import Validation
        from feature_ops.dvc.complete_history import complete_history
        from feature_ops.object_store import ObjectStore
        from feature_ops.work_folder import work_folder

        settings, run = get_settings(), context["dag_run"]
        store = ObjectStore.from_connection(settings.aws_conn_id)
        validation = Validation(
            dataset=self.dataset,
            staged=StagedFile(self.ingested["staged_uri"], self.ingested["bytes"], self.ingested["sha256"]),
            source=self.ingested["source"],
            run_id=run.run_id,
            run_after=run.run_after.astimezone(UTC),
            timestamp_column=(self.event_timestamp_column or "").strip(),
            store=store,
            settings=settings,
            lock_url=_lock_database(),
            map_index=_map_index(context),
        )
        with work_folder("validate") as folder:
            complete_history(self.dataset, store, folder / "copies", self.repo_url)
            facts = validation.run(folder)
        return Outcome(_summary(facts), facts)

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The file, and what is new in it; a refused file is in the error's result."""
        if self.missing_result():
            return {}
        told = {"dataset": self.dataset.name, "source": self.ingested["source"]}
        return {**told, **{name: outcome.facts[name] for name in ("new", "known") if outcome}}


def _map_index(context: Context) -> int:
    """Return the index of a mapped task; -1 if it is not mapped."""
    task_instance = context.get("ti")
    index = getattr(task_instance, "map_index", None)
    return -1 if index is None else int(index)


def _lock_database() -> str | None:
    """Return the database whose locks serialize writers: that of Feast's registry."""
    from feature_ops.feast.hook import FeastHook

    return FeastHook(get_settings().feast_conn_id).registry_url()


def _summary(facts: Mapping[str, Any]) -> str:
    new, known = facts["new"], facts["known"]
    return f"{new:,} new row{'' if new == 1 else 's'}, {known:,} already known"

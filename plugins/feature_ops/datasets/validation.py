"""From a staged file to an accepted one, or to quarantine with a report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from feature_ops.advisory_lock import advisory_lock
from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.accept import accepted_earlier, write_history_file
from feature_ops.datasets.acceptance import Acceptance, Generation
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.history import History, open_history
from feature_ops.datasets.new_rows import NewRows, compare
from feature_ops.datasets.normalize import Normalized
from feature_ops.datasets.parser_process import Limits, parse
from feature_ops.datasets.report import REPORT_FILE, Report
from feature_ops.datasets.stage import SOURCE_FILE, StagedFile, download, run_folder
from feature_ops.datasets.violations import Violations
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore
from feature_ops.settings import Settings
from feature_ops.ui.quarantine import quarantined

log = logging.getLogger(__name__)

# Each is lost to another stack's writer only, of which there are few.
_ATTEMPTS = 20
# So many faults of a file stand in the task's line, the others in the report only.
_SHOWN = 5


@dataclass(frozen=True)
class Validation:
    """
    One run's check of one staged file.

    :param source: where the file came from, without secrets.
    :param run_after: the run's time, in UTC: the same at every retry. It stamps rows without an
        event time, and says when new rows count as ingested.
    :param timestamp_column: the event time's column if the user named one, else "".
    :param lock_url: SQLAlchemy URL of the database that has this stack's writers wait for each other;
        without it they compare anew when another one was faster, as they do with other stacks'.
    :param map_index: index of the mapped task; -1 if it is not mapped.
    """

    dataset: Dataset
    staged: StagedFile
    source: str
    run_id: str
    run_after: datetime
    timestamp_column: str
    store: ObjectStore
    settings: Settings
    lock_url: str | None
    map_index: int = -1

    def run(self, folder: Path) -> dict[str, Any]:
        """
        Accept what the file brings; returns the facts for later tasks.

        :param folder: scratch folder on local disk, with room for about twice the file.
        :raises BadInputError: the file breaks a rule. It is in quarantine, and nothing else changed.
        """
        local = folder / SOURCE_FILE
        download(self.staged, self.store, str(local))
        normalized = self._normalize(local, folder)
        local.unlink()
        with self._lock():
            for _ in range(_ATTEMPTS):
                facts = self._compare_and_accept(normalized, folder)
                if facts is not None:
                    return facts
                log.info("A writer outside of this lock accepted a file meanwhile: comparing anew")
        raise FeatureOpsError(
            f"other writers accepted files of {self.dataset.name} {_ATTEMPTS} times while this one was "
            "compared: try again when there are fewer"
        )

    def _compare_and_accept(self, normalized: Normalized, folder: Path) -> dict[str, Any] | None:
        """Return the facts, or None if another writer's file was accepted first."""
        acceptance = Acceptance(self.dataset, self.store)
        latest = acceptance.latest()
        earlier = accepted_earlier(
            self.dataset,
            self.store,
            report_uri=self._staging_report_uri,
            source_sha256=self.staged.sha256,
        )
        if earlier is not None:
            log.info("An earlier try of this run accepted %s: repeating its result", earlier[0])
            return self._repeated(*earlier)
        with TemporaryDirectory(dir=folder) as scratch:
            return self._accept(normalized, Path(scratch), acceptance, latest)

    def _normalize(self, local: Path, folder: Path) -> Normalized:
        settings, parsed = self.settings, folder / "parsed"
        parsed.mkdir()
        try:
            normalized = parse(
                local,
                parsed,
                self.dataset,
                timestamp_column=self.timestamp_column,
                stamp=self.run_after,
                # Clocks differ: a stamp of the scheduler must not be in the worker's future.
                latest=max(datetime.now(UTC), self.run_after),
                limits=Limits(settings.source_max_size, settings.parse_memory, settings.parse_timeout),
            )
        except BadInputError as error:
            self._refuse(replace(self._report(), error=str(error)))
        if normalized.violations:
            self._note_conflicts(normalized, folder)
            self._refuse(replace(self._report(), normalized=normalized, violations=normalized.violations))
        return normalized

    def _note_conflicts(self, normalized: Normalized, folder: Path) -> None:
        """Add contradicting rows to what is wrong with a file, so that one report names every fault."""
        if not normalized.path.exists():
            return
        # A column whose values were not all converted says nothing about which rows differ.
        unsure = {violation.column for violation in normalized.violations if not violation.complete}
        unsure -= set(self.dataset.keys)
        columns = tuple(column for column in self.dataset.columns if column.name not in unsure)
        with (
            suppress(
                BadInputError
            ),  # such as too little memory: what was found before is enough to refuse it
            TemporaryDirectory(dir=folder) as scratch,
            compare(
                normalized.path,
                History(self.dataset.model_copy(update={"columns": columns}), []),
                ingested_at=self.run_after,
                folder=Path(scratch),
                memory_limit=self.settings.memory_limit,
            ) as comparison,
        ):
            comparison.note_conflicts(normalized.violations)

    def _accept(
        self, normalized: Normalized, folder: Path, acceptance: Acceptance, latest: Generation
    ) -> dict[str, Any] | None:
        with (
            open_history(self.dataset, self.store) as history,
            compare(
                normalized.path,
                history,
                ingested_at=self.run_after,
                folder=folder,
                memory_limit=self.settings.memory_limit,
            ) as comparison,
        ):
            comparison.note_conflicts(normalized.violations)
            report = replace(self._report(), normalized=normalized, violations=normalized.violations)
            if report.violations:
                self._refuse(report)
            found = comparison.counts()
            report = replace(report, found=found)
            facts = self._facts(normalized.rows, found)
            if not found.new:
                self._report_accepted(report, {})
                return facts
            path = folder / "accepted.parquet"
            name = write_history_file(comparison.batches(), self.dataset, path, normalized.batch_rows)
            metadata = self._metadata(facts)
            self._report_accepted(report, {**metadata, "file": name})
            uri = acceptance.accept(path, name, metadata, latest)
            return {**facts, "accepted_uri": uri} if uri else None

    def _facts(self, rows: int, found: NewRows) -> dict[str, Any]:
        return {
            "accepted_uri": None,
            "report_uri": self._staging_report_uri,
            "source": self.source,
            "rows": rows,
            "new": found.new,
            "known": found.known + found.repeated,
            "first_event": found.first_event and found.first_event.isoformat(),
            "last_event": found.last_event and found.last_event.isoformat(),
        }

    def _metadata(self, facts: dict[str, Any]) -> dict[str, str]:
        """Return what an accepted file says about itself: for later steps, and for a retry."""
        return {
            "source": self.source,
            "source-sha256": self.staged.sha256,
            "source-rows": str(facts["rows"]),
            "run-id": self.run_id,
            "rows": str(facts["new"]),
            "known": str(facts["known"]),
            "first-event": facts["first_event"],
            "last-event": facts["last_event"],
        }

    def _repeated(self, uri: str, metadata: dict[str, str]) -> dict[str, Any]:
        return {
            "accepted_uri": uri,
            "report_uri": self._staging_report_uri,
            "source": metadata["source"],
            "rows": int(metadata["source-rows"]),
            "new": int(metadata["rows"]),
            "known": int(metadata["known"]),
            "first_event": metadata["first-event"],
            "last_event": metadata["last-event"],
        }

    def _lock(self) -> AbstractContextManager[None]:
        if self.lock_url is None:
            return nullcontext()
        return advisory_lock(self.lock_url, f"dataset:{self.dataset.name}", self.settings.lock_timeout)

    @property
    def _staging_report_uri(self) -> str:
        return f"{self.dataset.staging_uri}{run_folder(self.run_id, self.map_index)}/{REPORT_FILE}"

    def _report(self) -> Report:
        return Report(
            dataset=self.dataset.name,
            run_id=self.run_id,
            source=self.source,
            sha256=self.staged.sha256,
            size=self.staged.size,
            violations=Violations(),
        )

    def _publish(self, report: Report, uri: str, metadata: Mapping[str, str] | None = None) -> None:
        for line in report.lines():
            log.info("%s", line)
        self.store.put_bytes(report.json(), uri, metadata)

    def _report_accepted(self, report: Report, metadata: Mapping[str, str]) -> None:
        with passing(CommitPoint.REPORT_WRITTEN):
            self._publish(report, self._staging_report_uri, metadata)

    def _refuse(self, report: Report) -> NoReturn:
        quarantine = f"{self.dataset.quarantine_uri}{run_folder(self.run_id, self.map_index)}"
        with passing(CommitPoint.SOURCE_QUARANTINED):
            self.store.copy(self.staged.uri, f"{quarantine}/{SOURCE_FILE}")
        with passing(CommitPoint.REFUSAL_REPORTED):
            self._publish(report, f"{quarantine}/{REPORT_FILE}")
        wrong = [report.error] if report.error else [str(violation) for violation in report.violations]
        shown = "; ".join(wrong[:_SHOWN])
        more = f"; and {len(wrong) - _SHOWN} more (see the report)" if len(wrong) > _SHOWN else ""
        raise BadInputError(
            f"{self.source} is refused: {shown}{more}. Correct the file and trigger a new run; "
            f"report, kept for {self.settings.quarantine_days} days: {quarantine}/{REPORT_FILE}",
            quarantined(self.dataset.name, self.source, wrong, f"{quarantine}/{REPORT_FILE}"),
        )

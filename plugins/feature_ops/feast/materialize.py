"""
Bring the rows that are missing online.

The commit point is the ledger: it is written when Feast has written everything. Whatever dies before
that is done again by the next run, with the same result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import NothingPendingError
from feature_ops.feast.history import History
from feature_ops.feast.ledger import FileSpan, Ledger, OnlineFile
from feature_ops.feast.pending import Pending, plan
from feature_ops.feast.views import views_of
from feature_ops.feast.writing import writing

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

log = logging.getLogger(__name__)

# Clocks of a cluster differ by so much at most; a row that is stamped later waits for its time.
_CLOCK_SKEW = timedelta(seconds=30)


@dataclass(frozen=True)
class Materialization:
    """
    What was loaded.

    :param files: the files that were missing in some view, by view.
    :param rows: how many rows were written to the online store.
    :param start: first event time of the window.
    :param end: last event time of it.
    :param seconds: how long it took.
    """

    files: dict[str, tuple[FileSpan, ...]]
    rows: int
    start: datetime
    end: datetime
    seconds: float

    @property
    def views(self) -> list[str]:
        """Names of the views that were loaded."""
        return sorted(self.files)

    @property
    def file_names(self) -> list[str]:
        """Names of the files that were loaded into any of the views, in the order in which they came."""
        return list(dict.fromkeys(file.name for view in self.views for file in self.files[view]))


@dataclass(frozen=True)
class Materializer:
    """
    Loads a dataset's history into every online view that reads it. To be used under the lock.

    :param source_uri: where the views' source must be: the history's place.
    """

    store: FeatureStore
    ledger: Ledger
    history: History
    source_uri: str

    def load(self, *, full_refresh: bool = False) -> Materialization:
        """
        Write what is missing online; :meth:`record` is to follow.

        :param full_refresh: write the newest row of every key again, whatever is online.
        :raises NothingPendingError: if nothing is missing.
        :raises BadInputError: if no view reads the dataset.
        """
        began = time.monotonic()
        # Another process may have applied new definitions since this one opened the registry.
        self.store.refresh_registry()
        online = {
            view.name: self._online(view, full_refresh) for view in views_of(self.store, self.source_uri)
        }
        missing = {
            view: [name for name in self.history.paths if name not in files] for view, files in online.items()
        }
        names = dict.fromkeys(name for files in missing.values() for name in files)
        spans = {span.name: span for span in self.history.spans(names)}
        end = self._end(spans.values())
        plans = {
            view: plan([spans[name] for name in files], online[view].values(), end)
            for view, files in missing.items()
        }
        wanted = {view: pending for view, pending in plans.items() if pending.files}
        if not wanted:
            raise NothingPendingError(self._nothing_pending(plans.values()))
        rows = sum(self._load_view(view, pending, online[view], end) for view, pending in wanted.items())
        return Materialization(
            files={view: pending.files for view, pending in wanted.items()},
            rows=rows,
            start=min((p.start for p in wanted.values() if p.start is not None), default=end),
            end=end,
            seconds=round(time.monotonic() - began, 3),
        )

    def record(self, done: Materialization, run_id: str) -> None:
        """Note in the ledger that the files are online."""
        for view, files in done.files.items():
            with passing(CommitPoint.LEDGER_RECORDED):
                self.ledger.record(self.store.project, view, files, run_id)

    def _online(self, view: FeatureView, full_refresh: bool) -> Mapping[str, OnlineFile]:
        online = self.ledger.online(self.store.project, view.name)
        if online and not view.materialization_intervals:
            # Feast notes every load, so this view is not the one that the ledger knew.
            log.info("%s was created anew: its whole history is to be loaded", view.name)
        elif not full_refresh:
            return online
        with passing(CommitPoint.LEDGER_FORGOTTEN):
            self.ledger.forget(self.store.project, view.name)
        return {}

    def _end(self, missing: Iterable[FileSpan]) -> datetime:
        """
        Return the end of all windows: now, and never later, for Feast keeps it as its own watermark.

        Short of a moment's wait for rows that were stamped by a clock that runs ahead.
        """
        now = self.ledger.now()
        leads = [file.last_event - now for file in missing if file.last_event]
        ahead = max((lead for lead in leads if timedelta(0) < lead <= _CLOCK_SKEW), default=None)
        if ahead is None:
            return now
        log.info("Waiting %.1f s: rows are stamped by a clock ahead of the database's", ahead.total_seconds())
        time.sleep(ahead.total_seconds())
        return self.ledger.now()

    def _load_view(self, view: str, pending: Pending, online: Mapping[str, OnlineFile], end: datetime) -> int:
        _log_plan(view, pending)
        if pending.start is None:
            # Nothing but files without rows.
            return 0
        # Where nothing is online by the ledger, a run may have died after it had written something.
        rewrite = not online or self.history.has_corrections(pending.files, online.values())
        if rewrite:
            log.info("%s: rows are written over those of the same event time", view)
        if self.source_uri.startswith("s3://"):
            _forget_listings()
        with (
            writing(self.store, over_equal_times=rewrite) as rows,
            passing(CommitPoint.VIEW_MATERIALIZED),
        ):
            self.store.materialize(pending.start, end, [view])
        return rows.count

    def _nothing_pending(self, plans: Iterable[Pending]) -> str:
        name, total = self.history.dataset.name, len(self.history.paths)
        early = {file.name: file.last_event for pending in plans for file in pending.early if file.last_event}
        if early:
            return (
                f"nothing to materialize yet: {_files(len(early))} of {name} "
                f"{'waits' if len(early) == 1 else 'wait'} for event times up to "
                f"{shown_time(max(early.values()))} UTC"
            )
        if not total:
            return f"nothing to materialize: {name} has no files yet"
        which = f"all {_files(total)} of {name} are" if total > 1 else f"the one file of {name} is"
        return f"nothing to materialize: {which} online"


def summary(done: Materialization) -> str:
    """Return one line for people."""
    start, end = done.start.astimezone(UTC), done.end.astimezone(UTC)
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else shown_time(end)
    return (
        f"{done.rows:,} row{'' if done.rows == 1 else 's'} materialized into {', '.join(done.views)}, "
        f"window {shown_time(start)} → {until} UTC, {done.seconds:.1f} s"
    )


def shown_time(moment: datetime) -> str:
    """Return a UTC time as people read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _log_plan(view: str, pending: Pending) -> None:
    if pending.files:
        log.info("%s: %s to load", view, _files(len(pending.files)))
    if pending.late:
        log.info(
            "%s: %s came late, with rows that are older than what is online; newer values stay",
            view,
            _files(len(pending.late)),
        )
    for file in pending.early:
        log.warning("%s: %s waits for its event time of %s", view, file.name, file.last_event)


def _forget_listings() -> None:
    """Have Feast list the prefix anew: s3fs remembers listings for as long as its process lives."""
    from s3fs import S3FileSystem  # type: ignore[import-untyped]

    S3FileSystem.clear_instance_cache()


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"

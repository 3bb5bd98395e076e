"""
Bring the rows that are missing online.

The commit point is the ledger: it is written when Feast has written everything. Whatever dies before
that is done again by the next run, with the same result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import FeatureOpsError, NothingPendingError
from feature_ops.feast.arrow_loading import ArrowLoading, arrow_engine_for
from feature_ops.feast.backfill_progress import Backfill, BackfillProgress, Cut
from feature_ops.feast.history import History
from feature_ops.feast.ledger import FileSpan, Ledger, OnlineFile
from feature_ops.feast.load_failures import LoadFailures, explained
from feature_ops.feast.loadable import is_computed
from feature_ops.feast.pending import Pending, plan
from feature_ops.feast.verify import Verifier
from feature_ops.feast.view_definition import ViewDefinition, key_columns
from feature_ops.feast.views import views_of
from feature_ops.feast.whole_history import WholeHistory, can_be_sharded, shards_of, written_by_shards
from feature_ops.feast.without_functions import refuse_loading
from feature_ops.feast.writing import is_seen_writing, writing
from feature_ops.history_failures import UnreadableFileError

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

log = logging.getLogger(__name__)

# Clocks of a cluster differ by so much at most; a row that is stamped later waits for its time.
_CLOCK_SKEW = timedelta(seconds=30)
# Of fewer rows, how many came in a second says nothing.
_MANY_ROWS = 1_000
# Keys that are read back where nothing else tells whether rows were written: enough to find a lost batch.
_KEYS_READ_BACK = 1_000


@dataclass(frozen=True)
class Materialization:
    """
    What was loaded.

    :param files: the files that were missing in some view, by view.
    :param rows: how many rows were written to the online store; where the engine does not tell, how many
        the files have.
    :param start: first event time of the window.
    :param end: last event time of it.
    :param seconds: how long it took.
    :param definitions: the definition under which each view's rows were written.
    :param absent: names of the history's files that are not online under that definition, by view.
    """

    files: dict[str, tuple[FileSpan, ...]]
    rows: int
    start: datetime
    end: datetime
    seconds: float
    definitions: dict[str, str]
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)

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

    A view of which nothing is online, or whose definition has got something that the rows online lack,
    is written whole; of any other only the files that the ledger lacks. Each view stands alone: one that
    cannot be loaded, or a file that cannot be read, does not keep the others from being loaded.

    :param source_uri: where the views' source must be: the history's place.
    :param run_id: the run that loads, as the ledger names it.
    :param failures: receives what a load does not bring online.
    """

    store: FeatureStore
    ledger: Ledger
    progress: BackfillProgress
    history: History
    source_uri: str
    run_id: str
    failures: LoadFailures = field(default_factory=LoadFailures)

    def load(self, *, full_refresh: bool = False) -> Materialization:
        """
        Write what is missing online; :meth:`record` is to follow.

        :param full_refresh: write the newest row of every key again, whatever is online.
        :raises NothingPendingError: if nothing is missing.
        :raises BadInputError: if no view reads the dataset, or nothing could be loaded.
        """
        # Another process may have applied new definitions since this one opened the registry.
        self.store.refresh_registry()
        views = views_of(self.store, self.source_uri)
        return self._load({view.name: view for view in views}, full_refresh)

    def backfill(self) -> Materialization:
        """
        Write only the views whose rows online lack what their definition has; :meth:`record` is to follow.

        :raises NothingPendingError: if there is none.
        """
        self.store.refresh_registry()
        views = views_of(self.store, self.source_uri)
        lacking = {view.name: view for view in views if not self._online(view, full_refresh=False)}
        if not lacking:
            names = ", ".join(view.name for view in views)
            raise NothingPendingError(f"nothing to backfill: what {names} defines is online")
        return self._load(lacking, full_refresh=False)

    def _load(self, views: Mapping[str, FeatureView], full_refresh: bool) -> Materialization:
        began = time.monotonic()
        online = {name: self._online(view, full_refresh) for name, view in views.items()}
        missing = {
            view: [name for name in self.history.paths if name not in files] for view, files in online.items()
        }
        names = dict.fromkeys(name for files in missing.values() for name in files)
        spans, unreadable = self.history.readable_spans(names)
        end = self._end(spans)
        of_files = {span.name: span for span in spans}
        plans = {
            view: plan([of_files[name] for name in files if name in of_files], online[view].values(), end)
            for view, files in missing.items()
        }
        if not unreadable and not any(pending.files for pending in plans.values()):
            raise NothingPendingError(self._nothing_pending(plans.values()))
        self.failures.files.update(unreadable)
        loaded: dict[str, Pending] = {}
        rows = 0
        for view, pending in plans.items():
            done = self._load_alone(views[view], pending, online[view], end)
            if done is not None:
                loaded[view], written = done
                rows += written
        if not loaded:
            raise self.failures.error()
        if not is_seen_writing(self.store):
            self._read_back({view: [file.name for file in pending.files] for view, pending in loaded.items()})
            rows = sum(file.rows for pending in loaded.values() for file in pending.files)
        return Materialization(
            files={view: pending.files for view, pending in loaded.items()},
            rows=rows,
            start=min((p.start for p in loaded.values() if p.start is not None), default=end),
            end=end,
            seconds=round(time.monotonic() - began, 3),
            definitions={view: ViewDefinition.of(views[view]).to_json() for view in loaded},
            absent={view: _absent(missing[view], pending) for view, pending in loaded.items()},
        )

    def record(self, done: Materialization) -> None:
        """Note in the ledger that the files are online."""
        for view, files in done.files.items():
            with passing(CommitPoint.LEDGER_RECORDED):
                self.ledger.record(
                    *(self.store.project, view, files, self.run_id, done.definitions[view]),
                    absent=done.absent.get(view, ()),
                )
            with passing(CommitPoint.BACKFILL_FINISHED):
                self.progress.finish(self.store.project, view)

    def _read_back(self, loaded: Mapping[str, Sequence[str]]) -> None:
        """
        Compare a sample of what was loaded with what is online, for an engine that fails without a word.

        :param loaded: names of files, by view.
        :raises FeatureOpsError: a value differs; nothing is noted then, so the next run loads it again.
        """
        verifier = Verifier(self.store, self.ledger, self.history, self.source_uri)
        names = dict.fromkeys(name for files in loaded.values() for name in files)
        keys, _ = verifier.verify(list(names), _KEYS_READ_BACK, loaded)
        log.info(
            "The engine does not tell what it wrote, so %s key%s read back: as in the history",
            f"{keys:,}",
            " was" if keys == 1 else "s were",
        )

    def _online(self, view: FeatureView, full_refresh: bool) -> Mapping[str, OnlineFile]:
        """Return what is online and will do; nothing if the view is to be written whole."""
        online = self.ledger.online(self.store.project, view.name)
        lacking = self._lacking(view) if online else None
        if online and not view.materialization_intervals:
            # Feast notes every load, so this view is not the one that the ledger knew.
            log.info("%s was created anew: its whole history is to be loaded", view.name)
        elif lacking is not None:
            # Not forgotten: until the new values are complete, this is what is online.
            log.info("%s: its whole history is to be loaded again: %s", view.name, lacking)
            return {}
        elif not full_refresh:
            return online
        self._forget(view)
        return {}

    def _forget(self, view: FeatureView) -> None:
        """Forget what was written, as the online store may have lost it: all but what this run began."""
        project = self.store.project
        unfinished = self.progress.unfinished(project, view.name)
        with passing(CommitPoint.LEDGER_FORGOTTEN):
            # Before the ledger: what is not in that would be completed by the next run.
            if unfinished and unfinished.begun_by != self.run_id:
                self.progress.finish(project, view.name)
            self.ledger.forget(project, view.name)

    def _lacking(self, view: FeatureView) -> str | None:
        written = self.ledger.definition(self.store.project, view.name)
        if written is None:
            # Loaded before definitions were noted.
            return None
        return ViewDefinition.of(view).lacking_in(ViewDefinition.from_json(written))

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

    def _load_alone(
        self, view: FeatureView, pending: Pending, online: Mapping[str, OnlineFile], end: datetime
    ) -> tuple[Pending, int] | None:
        """Load a view, without the files that cannot be read; None if nothing of it was loaded."""
        try:
            while files := [file for file in pending.files if file.name not in self.failures.files]:
                pending = plan(files, online.values(), end)
                try:
                    with self.history.reading():
                        return pending, self._load_view(view, pending, online, end)
                except UnreadableFileError as error:
                    self._leave_out(error, files)
        except Exception as error:
            found = explained(error, view, self.history.dataset)
            self.failures.views[str(view.name)] = found
            trace = None if isinstance(found, FeatureOpsError) else error
            log.error("%s is not loaded: %s", view.name, found, exc_info=trace)
        return None

    def _leave_out(self, error: UnreadableFileError, files: Iterable[FileSpan]) -> None:
        for file in files:
            if error.uri.endswith(self.history.paths[file.name]):
                self.failures.files[file.name] = error
                log.error("%s", error)
                return
        # A file that is online already, without which the view cannot be loaded.
        raise error

    def _load_view(
        self, view: FeatureView, pending: Pending, online: Mapping[str, OnlineFile], end: datetime
    ) -> int:
        refuse_loading(view)
        _log_plan(view.name, pending)
        # Without a start there are nothing but files without rows.
        engine = arrow_engine_for(self.store, view, self.history) if pending.start else None
        if engine:
            loading = ArrowLoading(engine, self.store, view, self.history, end)
            return self._load_exactly(loading, pending, online)
        if pending.start:
            self._check_keys(view, pending.files, pending.start, end)
        if pending.start and not online and can_be_sharded(self.store, view, self.history):
            return self._load_whole(view, pending, pending.start, end)
        self._narrow(view)
        return self._load_files(view, pending, online, end)

    def _check_keys(
        self, view: FeatureView, files: Iterable[FileSpan], start: datetime, end: datetime
    ) -> None:
        """Check the join keys before the first write; the Arrow engine does it itself."""
        from feature_ops.feast.engine.checks import check_keys
        from feature_ops.feast.engine.latest import LatestRows

        keys, dataset = key_columns(view), self.history.dataset
        if is_computed(view) or not set(keys.values()) <= set(dataset.arrow_schema().names):
            return
        rows = LatestRows(
            dataset=self.history.files(file.name for file in files),
            keys=keys,
            features={},
            event_time=dataset.timestamp_field,
            created_time=None,
            start=start,
            end=end,
        )
        types = {column.name: column.dtype.to_value_type().name for column in view.entity_columns}
        check_keys(rows, types, rows.limits.batch_rows)

    def _load_exactly(self, loading: ArrowLoading, pending: Pending, online: Mapping[str, FileSpan]) -> int:
        files = {file.name: file for file in pending.files}
        rows = sum(file.rows for file in pending.files)
        if online:
            self._narrow(loading.view)
        with writing(self.store, over_equal_times=False) as written:
            if online and shards_of(rows) == 1:
                loading.write(pending.files, online.values())
                return written.count
            backfill = self._backfill(loading.view, list(files), rows, Cut.ROWS)
            first = [files.pop(name) for name in backfill.files]
            loading.write_in_pieces(first, online.values(), backfill, self.progress)
            # Came after an earlier try had begun.
            loading.write(list(files.values()), [*online.values(), *first])
            return written.count

    def _load_files(
        self, view: FeatureView, pending: Pending, online: Mapping[str, FileSpan], end: datetime
    ) -> int:
        if pending.start is None:
            return 0
        # Where nothing is online by the ledger, a run may have died after it had written something.
        rewrite = not online or self._has_corrections(view, pending, online)
        if rewrite:
            log.info("%s: rows are written over those of the same event time", view.name)
        if self.source_uri.startswith("s3://"):
            _forget_listings()
        with (
            writing(self.store, over_equal_times=rewrite) as rows,
            passing(CommitPoint.VIEW_MATERIALIZED),
        ):
            self.store.materialize(pending.start, end, [view.name])
        return rows.count

    def _has_corrections(self, view: FeatureView, pending: Pending, online: Mapping[str, FileSpan]) -> bool:
        keys = tuple(key_columns(view).values())
        return self.history.has_corrections(pending.files, online.values(), keys)

    def _load_whole(self, view: FeatureView, pending: Pending, start: datetime, end: datetime) -> int:
        names = [file.name for file in pending.files]
        backfill = self._backfill(view, names, sum(file.rows for file in pending.files), Cut.KEYS)

        def write(view: FeatureView, until: datetime) -> None:
            WholeHistory(self.store, view, self.history, names, until).write(backfill, self.progress)

        with (
            writing(self.store, over_equal_times=True) as rows,
            written_by_shards(self.store, write),
            passing(CommitPoint.VIEW_MATERIALIZED),
        ):
            self.store.materialize(start, end, [view.name])
        begun_with = set(backfill.files)
        came_since = [file for file in pending.files if file.name not in begun_with]
        if not came_since:
            return rows.count
        # Shards that an earlier try has written lack the files that came after it.
        written = {file.name: file for file in pending.files if file.name in begun_with}
        return rows.count + self._load_files(view, plan(came_since, written.values(), end), written, end)

    def _backfill(self, view: FeatureView, names: Sequence[str], rows: int, cut: Cut) -> Backfill:
        """Return the unfinished backfill if it writes the same in the same way, else a new one."""
        project, definition = self.store.project, ViewDefinition.of(view).to_json()
        unfinished = self.progress.unfinished(project, view.name)
        if (
            unfinished
            and (unfinished.cut, unfinished.definition) == (cut, definition)
            and set(unfinished.files) <= set(names)
        ):
            return unfinished
        begun = Backfill(self.run_id, cut, definition, tuple(names), shards_of(rows), done=0)
        with passing(CommitPoint.BACKFILL_BEGUN):
            return self.progress.begin(project, view.name, begun)

    def _narrow(self, view: FeatureView) -> None:
        """Note, before rows without a feature are written, that not all rows have it any more."""
        written = self.ledger.definition(self.store.project, view.name)
        definition = ViewDefinition.of(view).to_json()
        if written is not None and written != definition:
            with passing(CommitPoint.DEFINITION_NARROWED):
                self.ledger.record(self.store.project, view.name, [], "", definition)

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
    rate = f" ({done.rows / done.seconds:,.0f} rows/s)" if done.rows >= _MANY_ROWS and done.seconds else ""
    return (
        f"{done.rows:,} row{'' if done.rows == 1 else 's'} materialized into {', '.join(done.views)}, "
        f"window {shown_time(start)} → {until} UTC, {done.seconds:.1f} s{rate}"
    )


def shown_time(moment: datetime) -> str:
    """Return a UTC time as people read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _absent(missing: Iterable[str], pending: Pending) -> tuple[str, ...]:
    loaded = {file.name for file in pending.files}
    return tuple(name for name in missing if name not in loaded)


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

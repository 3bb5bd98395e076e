"""
Load exactly the files that a view lacks, by the Arrow engine, in pieces that a killed worker does not lose.

A row that is older than what is online is refused by the store itself, so the files that are missing are all
that has to be read. Rows of other files count only where their times overlap: of two rows with one event
time, the store can't tell which was created later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.feast.history import History
from feature_ops.feast.ledger import FileSpan

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from feature_ops.feast.backfill_progress import Backfill, BackfillProgress
    from feature_ops.feast.engine.arrow_engine import ArrowEngine

log = logging.getLogger(__name__)


def arrow_engine_for(store: FeatureStore, view: FeatureView, history: History) -> ArrowEngine | None:
    """Return the Arrow engine if the feature store has it and it takes the view; else say why not."""
    from feast.infra.common.materialization_job import MaterializationTask

    from feature_ops.feast.engine.arrow_engine import ArrowEngine

    provider: Any = store._get_provider()  # Feast has no public way to the engine it uses
    engine = provider.batch_engine
    if not isinstance(engine, ArrowEngine):
        return None
    now = datetime.now(UTC)
    task = MaterializationTask(store.project, view, now, now)
    reason = engine.why_not(task, history.dataset.arrow_schema())
    if reason is not None:
        log.info("%s is materialized by stock Feast: %s", view.name, reason)
        return None
    return engine


@dataclass(frozen=True)
class ArrowLoading:
    """
    Loads files of a history into one view.

    :param end: last event time that counts: that of the run.
    """

    engine: ArrowEngine
    store: FeatureStore
    view: FeatureView
    history: History
    end: datetime

    def write(self, files: Sequence[FileSpan], online: Iterable[FileSpan]) -> None:
        """
        Write the rows of files.

        :param online: files whose rows are online.
        """
        self._write(files, online, skip=0, piece_rows=None, reached=lambda rows: None)

    def write_in_pieces(
        self,
        files: Sequence[FileSpan],
        online: Iterable[FileSpan],
        backfill: Backfill,
        progress: BackfillProgress,
    ) -> None:
        """
        Write the rows of the files of a backfill, from where it stands, and note each of its shards.

        :param files: the backfill's, in its order.
        """
        rows = sum(file.rows for file in files)
        shard_rows = -(-rows // backfill.shards)
        if backfill.done:
            log.info("%s: going on after shard %s of %s", self.view.name, backfill.done, backfill.shards)
        done = backfill.done

        def advance(shards: int) -> None:
            nonlocal done
            if shards > done:
                with passing(CommitPoint.BACKFILL_ADVANCED):
                    progress.advance(self.store.project, self.view.name, shards)
                done = shards

        self._write(
            files,
            online,
            skip=min(backfill.done * shard_rows, rows),
            piece_rows=shard_rows,
            reached=lambda reached: advance(reached // shard_rows),
        )
        advance(backfill.shards)

    def _write(
        self,
        files: Sequence[FileSpan],
        online: Iterable[FileSpan],
        *,
        skip: int,
        piece_rows: int | None,
        reached: Callable[[int], None],
    ) -> None:
        from feature_ops.feast.engine.load import Load

        start = min((file.first_event for file in files if file.first_event), default=None)
        if start is None:
            return
        rivals = [file.name for file in self.history.overlapping(files, online)]
        load = Load(
            files=self.history.files([file.name for file in files]),
            rivals=self.history.files(rivals) if rivals else None,
            skip=skip,
            piece_rows=piece_rows,
            reached=reached,
            around_writing=_rows_online,
        )
        with self.engine.loading(self.view.name, load), passing(CommitPoint.VIEW_MATERIALIZED):
            self.store.materialize(start, self.end, [self.view.name])


def _rows_online() -> AbstractContextManager[None]:
    return passing(CommitPoint.ROWS_ONLINE)

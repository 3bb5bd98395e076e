"""
Write the newest row of every key of a view's whole history, in shards that a killed worker does not lose.

Shards are cut by key, never by time: a window of time could bring an older row over a newer one. Each is
written over what is online, so the values that are there stay served until their replacements come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.feast.history import History
from feature_ops.feast.view_definition import source_columns, time_columns
from feature_ops.settings import get_settings
from feature_ops.work_folder import work_folder

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from feast import FeatureStore, FeatureView

    from feature_ops.feast.backfill_progress import Backfill, BackfillProgress

log = logging.getLogger(__name__)

_EVENT_TIME, _CREATED, _SHARD = "event_time", "created_time", "shard"


def can_be_sharded(store: FeatureStore, view: FeatureView, history: History) -> bool:
    """
    Return whether the view's rows are the history's rows, with nothing computed in between.

    Other kinds of views are written by Feast's own compute engine, in one piece, and so is everything
    where another engine was chosen than the local one, or the Arrow engine, which leaves views to that.
    """
    from feast import FeatureView
    from feast.infra.compute_engines.local.compute import LocalComputeEngine

    from feature_ops.feast.engine.arrow_engine import ArrowEngine

    dataset = history.dataset
    columns = set(dataset.arrow_schema().names)
    provider: Any = store._get_provider()
    return (
        type(provider.batch_engine) in (LocalComputeEngine, ArrowEngine)
        and type(view) is FeatureView
        and not getattr(view, "offline", False)
        and view.batch_source is not None
        and time_columns(view)[0] == dataset.timestamp_field
        and time_columns(view)[1] in ("", dataset.created_timestamp_column)
        and columns >= set(_columns(view).values())
    )


def shards_of(rows: int) -> int:
    """Return into how many shards so many rows are cut."""
    return max(1, -(-rows // get_settings().backfill_shard_rows))


@dataclass(frozen=True)
class WholeHistory:
    """
    The whole history as one view's rows.

    :param names: the history's files that count.
    :param until: rows with a later event time do not count.
    """

    store: FeatureStore
    view: FeatureView
    history: History
    names: Sequence[str]
    until: datetime

    def write(self, backfill: Backfill, progress: BackfillProgress) -> None:
        """Write the shards that are not online yet, and note each of them."""
        with work_folder("backfill") as folder, self._newest_rows(folder, backfill) as rows:
            told = _Told(self.view.name, backfill, rows.count)
            for shard in range(backfill.done, backfill.shards):
                written = 0
                for batch in rows.batches(shard):
                    self._write_batch(batch)
                    written += batch.num_rows
                with passing(CommitPoint.BACKFILL_ADVANCED):
                    progress.advance(self.store.project, self.view.name, shard + 1)
                told.shard_written(shard, written)

    @contextmanager
    def _newest_rows(self, folder: Path, backfill: Backfill) -> Iterator[_NewestRows]:
        import duckdb

        from feature_ops.feast.engine.bounded_duckdb import duckdb_options

        options = duckdb_options(get_settings().memory_limit, 1, str(folder))
        columns = list(_columns(self.view).values())
        with duckdb.connect(str(folder / "rows.duckdb"), config=options) as connection:
            connection.register("history", self._scan(columns))
            keys = [f"c{columns.index(column)}" for column in self._key_columns()]
            # A hash that is the same on every machine and in every version, as a retry may run elsewhere.
            text = f"concat_ws(chr(31), {', '.join(f'{key}::VARCHAR' for key in keys)})"
            shard = f"(md5_number_lower({text}) % {backfill.shards})::INTEGER"
            connection.execute(
                f"CREATE TABLE newest AS SELECT * FROM (SELECT *, {shard} AS {_SHARD} FROM history) "  # noqa: S608
                f"WHERE {_SHARD} >= {backfill.done} QUALIFY row_number() OVER ("
                f"PARTITION BY {', '.join(keys)} ORDER BY {_EVENT_TIME} DESC, {_CREATED} DESC) = 1"
            )
            yield _NewestRows(connection, len(columns), self._batch_rows())

    def _scan(self, columns: Sequence[str]) -> Any:
        import pyarrow as pa
        import pyarrow.dataset as pads

        dataset = self.history.dataset
        # As numbers: DuckDB needs an extension for some of what can be done with zoned times.
        times = {
            _EVENT_TIME: pads.field(dataset.timestamp_field).cast(pa.int64()),
            _CREATED: pads.field(dataset.created_timestamp_column).cast(pa.int64()),
        }
        return self.history.scanner(
            self.names,
            {**{f"c{place}": pads.field(column) for place, column in enumerate(columns)}, **times},
            pads.field(dataset.timestamp_field) <= pa.scalar(self.until),
        )

    def _key_columns(self) -> list[str]:
        columns = _columns(self.view)
        return [columns[column.name] for column in self.view.entity_columns]

    def _batch_rows(self) -> int:
        size: int | None = self.store.config.materialization_config.online_write_batch_size
        return size or get_settings().backfill_shard_rows

    def _write_batch(self, batch: pa.Table) -> None:
        import pyarrow as pa
        from feast.utils import _convert_arrow_to_proto

        view = self.view
        source = view.batch_source
        assert source is not None
        instant = pa.timestamp("us", tz="UTC")
        columns = {name: batch.column(f"c{place}") for place, name in enumerate(_columns(view))}
        columns[source.timestamp_field] = batch.column(_EVENT_TIME).cast(instant)
        if source.created_timestamp_column:
            columns[source.created_timestamp_column] = batch.column(_CREATED).cast(instant)
        join_keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
        rows = _convert_arrow_to_proto(pa.table(columns).combine_chunks(), view, join_keys)
        # Through the provider's store, where rows are counted and failures explained.
        self.store._get_provider().online_store.online_write_batch(
            self.store.config, view, rows, lambda count: None
        )


@dataclass(frozen=True)
class _NewestRows:
    connection: duckdb.DuckDBPyConnection
    columns: int
    batch_rows: int

    @property
    def count(self) -> int:
        return int(self.connection.execute("SELECT count(*) FROM newest").fetchall()[0][0])

    def batches(self, shard: int) -> Iterator[pa.Table]:
        """Yield the rows of a shard in batches that have one chunk a column."""
        wanted = ", ".join([*(f"c{place}" for place in range(self.columns)), _EVENT_TIME, _CREATED])
        found = self.connection.sql(f"SELECT {wanted} FROM newest WHERE {_SHARD} = {shard}")  # noqa: S608
        table = found.to_arrow_table()
        for start in range(0, table.num_rows, self.batch_rows):
            yield table.slice(start, self.batch_rows).combine_chunks()


class _Told:
    """Tells how far it is and how long it will take."""

    def __init__(self, view: str, backfill: Backfill, rows: int) -> None:
        self._view, self._shards, self._total = view, backfill.shards, rows
        self._done, self._began = 0, time.monotonic()
        if backfill.done:
            log.info("%s: going on after shard %s of %s", view, backfill.done, backfill.shards)

    def shard_written(self, shard: int, rows: int) -> None:
        self._done += rows
        seconds = max(time.monotonic() - self._began, 1e-6)
        rate = self._done / seconds
        left = (self._total - self._done) / rate if rate else 0.0
        log.info(
            "%s: shard %s of %s, %s of %s rows (%.0f %%), %s rows/s, %.0f s to go",
            *(self._view, shard + 1, self._shards, f"{self._done:,}", f"{self._total:,}"),
            *(100 * self._done / max(self._total, 1), f"{rate:,.0f}", left),
        )


def _columns(view: FeatureView) -> dict[str, str]:
    """Return the source's column of each join key and feature, by the view's name for it."""
    renamed = source_columns(view)
    names = [column.name for column in [*view.entity_columns, *view.features]]
    return {name: renamed.get(name, name) for name in names}


@contextmanager
def written_by_shards(store: FeatureStore, write: Callable[[FeatureView, datetime], None]) -> Iterator[None]:
    """
    Have Feast's ``materialize`` call a writer of ours for the rows, and do all else as it does.

    So states, intervals and whatever Feast tells to others stay Feast's.
    """
    provider: Any = store._get_provider()

    def materialize(**arguments: Any) -> None:
        write(arguments["feature_view"], arguments["end_date"])

    provider.materialize_single_feature_view = materialize
    try:
        yield
    finally:
        del provider.materialize_single_feature_view

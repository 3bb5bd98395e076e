"""
The compute engine: parquet files to online store, in batches that are read, encoded and written at once.

Feast finds it by its dotted path and its configuration beside it. Whatever is outside of what it encodes
goes through Feast's own local engine, with one line in the log that says why.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.repo_config import FeastConfigBaseModel
from pydantic import Field, PositiveInt

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.checks import check_keys, check_values
from feature_ops.feast.engine.fast_set import ViewColumns, why_stock, why_stock_by_types
from feature_ops.feast.engine.key_order import in_key_order
from feature_ops.feast.engine.latest import LatestRows
from feature_ops.feast.engine.load import Load
from feature_ops.feast.engine.online_stores import Writer, keeps_texts, opened_writer, why_not_writable
from feature_ops.feast.engine.progress import Progress
from feature_ops.feast.engine.rows import EncodedRows, RowEncoder
from feature_ops.feast.engine.source_files import open_source

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.infra.registry.base_registry import BaseRegistry

log = logging.getLogger(__name__)

# Encoded batches that may be there beside the one being written: reading and encoding stop until the store
# has taken one.
_BATCHES_WAITING = 2


class ArrowEngineConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings under ``batch_engine`` in ``feature_store.yaml``; the defaults are for two cores and 1 GB."""

    type: str = "feature_ops.feast.engine.ArrowEngine"

    memory_limit: str = Field(
        default=Limits.memory, description="What finding the latest rows may take in memory"
    )
    threads: PositiveInt = Field(default=Limits.threads, description="Threads that find the latest rows")
    batch_rows: PositiveInt = Field(
        default=Limits.batch_rows, description="Rows that are encoded and written together"
    )
    batch_bytes: PositiveInt = Field(default=Limits.batch_bytes, description="Bytes of such a batch")
    sorted_bytes: PositiveInt = Field(
        default=Limits.sorted_bytes,
        le=1 << 30,
        description="Bytes of the rows that are sorted together for PostgreSQL and SQLite",
    )
    postgres_connections: PositiveInt = Field(default=2, description="Connections that write into PostgreSQL")
    temp_directory: str | None = Field(default=None, description="Where to put what memory does not hold")

    def limits(self) -> Limits:
        """Return what reading may take."""
        return Limits(
            memory=self.memory_limit,
            threads=self.threads,
            batch_rows=self.batch_rows,
            batch_bytes=self.batch_bytes,
            sorted_bytes=self.sorted_bytes,
            folder=self.temp_directory,
        )


class ArrowMaterializationJob(LocalMaterializationJob):  # type: ignore[misc]
    """
    A job that has ended.

    :param rows_written: how many rows were no older than what the store had.
    """

    def __init__(
        self,
        job_id: str,
        status: MaterializationJobStatus,
        error: BaseException | None = None,
        rows_written: int = 0,
    ) -> None:
        super().__init__(job_id, status, error)
        self.rows_written = rows_written


class ArrowEngine(LocalComputeEngine):  # type: ignore[misc]
    """Feast's local engine, with a way of its own for the views that it can encode."""

    def __init__(self, **kwargs: Any) -> None:
        settings = {name: kwargs.pop(name) for name in ArrowEngineConfig.model_fields if name in kwargs}
        super().__init__(**kwargs)
        self.config = ArrowEngineConfig(**settings)
        self._loads: dict[str, Load] = {}

    def why_not(self, task: MaterializationTask, schema: pa.Schema) -> str | None:
        """
        Return why a task is left to stock Feast; None if it is not.

        :param schema: the columns of its files.
        """
        view = task.feature_view
        return self._why_not_any_files(task) or why_stock_by_types(view, ViewColumns.of(view), schema)

    def _why_not_any_files(self, task: MaterializationTask) -> str | None:
        return why_stock(task, self.repo_config, self.offline_store) or why_not_writable(
            self.online_store, self.repo_config, task.feature_view
        )

    def _load_of_source(self, task: MaterializationTask) -> Load | str:
        """Return all rows of the view's source, or why the task is left to stock Feast."""
        view = task.feature_view
        reason = self._why_not_any_files(task)
        if reason is not None:
            return reason
        try:
            files = open_source(view.batch_source, self.repo_config.repo_path)
        except FileNotFoundError as error:
            return str(error)
        return why_stock_by_types(view, ViewColumns.of(view), files.schema) or Load(files)

    @contextmanager
    def loading(self, view: str, load: Load) -> Iterator[None]:
        """
        Have a view's materialization load these rows while the block runs, not all of its source's.

        The caller has asked :meth:`why_not`.
        """
        self._loads[view] = load
        try:
            yield
        finally:
            del self._loads[view]

    def _materialize_one(self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any) -> Any:
        view = task.feature_view
        job_id = f"{view.name}-{task.start_time}-{task.end_time}"
        try:
            load = self._loads.get(view.name) or self._load_of_source(task)
            if isinstance(load, Load):
                written = self._write(task, load)
                return ArrowMaterializationJob(job_id, MaterializationJobStatus.SUCCEEDED, None, written)
        except Exception as error:  # Feast is told of any error by the job
            return ArrowMaterializationJob(job_id, MaterializationJobStatus.ERROR, error)
        log.info("%s is materialized by stock Feast: %s", view.name, load)
        return super()._materialize_one(registry, task, **kwargs)

    def _write(self, task: MaterializationTask, load: Load) -> int:
        view = task.feature_view
        rows = self._latest_rows(task, load)
        encoder = RowEncoder(
            join_keys={key.name: key.dtype.to_value_type().name for key in view.entity_columns},
            features={feature.name: feature.dtype.to_value_type().name for feature in view.features},
            with_texts=keeps_texts(self.online_store),
        )
        began = time.monotonic()
        # Before the first write: a load that fails at a later row would leave the earlier ones online.
        check_keys(rows, encoder.join_keys, rows.limits.batch_rows)
        found = rows.find()
        check_values(rows, found, encoder.features)
        progress = Progress(view.name, found.count, task.tqdm_builder, began)

        def told(done: _Written) -> None:
            progress.add(done.sent, done.news)
            load.reached(done.reached)

        with (
            opened_writer(self.online_store, self.repo_config, view) as writer,
            _WrittenBehind(writer, load, told, self._threads(writer)) as behind,
        ):
            batches = rows.batches(found)
            if writer.wants_key_order:
                batches = in_key_order(batches, encoder.keys, rows.limits, piece_rows=load.piece_rows)
            for batch, reached in batches:
                behind.send(encoder.encode(batch), reached)
        return progress.end(len(found.latest))

    def _threads(self, writer: Writer) -> int:
        return self.config.postgres_connections if writer.may_write_at_once else 1

    def _latest_rows(self, task: MaterializationTask, load: Load) -> LatestRows:
        columns, limits = ViewColumns.of(task.feature_view), self.config.limits()
        if load.piece_rows:
            limits = replace(limits, batch_rows=min(limits.batch_rows, load.piece_rows))
        return LatestRows(
            dataset=load.files,
            keys=columns.keys,
            features=columns.features,
            event_time=columns.event_time,
            created_time=columns.created_time,
            start=task.start_time,
            end=task.end_time,
            limits=limits,
            rivals=load.rivals,
            skip=load.skip,
        )


@dataclass(frozen=True)
class _Written:
    """
    Rows that the store has taken.

    :param sent: how many.
    :param news: how many of them were no older than what it had.
    :param reached: how many rows of the files are online with them.
    """

    sent: int
    news: int
    reached: int


class _WrittenBehind:
    """
    Has rows written while the next are made, by some threads at once.

    Of what is written it tells in the order of sending, in the thread that sends: whatever was sent before
    is written then, too.
    """

    def __init__(self, writer: Writer, load: Load, told: Callable[[_Written], None], threads: int) -> None:
        self._writer, self._load, self._told = writer, load, told
        self._waiting: deque[Future[_Written]] = deque()
        self._pool = ThreadPoolExecutor(threads, "feature-ops-writer")

    def __enter__(self) -> _WrittenBehind:
        return self

    def send(self, rows: EncodedRows, reached: int) -> None:
        self._waiting.append(self._pool.submit(self._write, rows, reached))
        while len(self._waiting) > _BATCHES_WAITING:
            self._told(self._waiting.popleft().result())

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while kind is None and self._waiting:
                self._told(self._waiting.popleft().result())
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _write(self, rows: EncodedRows, reached: int) -> _Written:
        with self._load.around_writing():
            return _Written(len(rows), self._writer.write(rows), reached)

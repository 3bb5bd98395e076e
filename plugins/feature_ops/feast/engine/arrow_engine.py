"""
The compute engine: parquet files to online store, in batches that are read, encoded and written at once.

Feast finds it by its dotted path and its configuration beside it. Whatever is outside of what it encodes
goes through Feast's own local engine, with one line in the log that says why.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.repo_config import FeastConfigBaseModel
from pydantic import Field, PositiveInt

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.fast_set import ViewColumns, why_stock, why_stock_by_types
from feature_ops.feast.engine.latest import Found, LatestRows
from feature_ops.feast.engine.online_stores import Writer, keeps_texts, opened_writer, why_not_writable
from feature_ops.feast.engine.rows import RowEncoder
from feature_ops.feast.engine.source_files import open_source

if TYPE_CHECKING:
    from feast import FeatureView
    from feast.infra.registry.base_registry import BaseRegistry

log = logging.getLogger(__name__)

# Encoded batches that may wait for the store: reading and encoding stop until it has taken one.
_BATCHES_WAITING = 2
_SECONDS_BETWEEN_LINES = 10.0


class ArrowEngineConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings under ``batch_engine`` in ``feature_store.yaml``; the defaults are for two cores and 1 GB."""

    type: str = "feature_ops.feast.engine.ArrowEngine"

    memory_limit: str = Field(default="400MB", description="What finding the latest rows may take in memory")
    threads: PositiveInt = Field(default=2, description="Threads that find the latest rows")
    batch_rows: PositiveInt = Field(default=16_384, description="Rows that are encoded and written together")
    batch_bytes: PositiveInt = Field(default=64 << 20, description="Bytes of such a batch")
    temp_directory: str | None = Field(default=None, description="Where to put what memory does not hold")

    def limits(self) -> Limits:
        """Return what reading may take."""
        return Limits(self.memory_limit, self.threads, self.batch_rows, self.batch_bytes, self.temp_directory)


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

    def _materialize_one(self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any) -> Any:
        view = task.feature_view
        job_id = f"{view.name}-{task.start_time}-{task.end_time}"
        try:
            prepared = self._prepared(task)
            if isinstance(prepared, LatestRows):
                written = self._write(view, prepared, task)
                return ArrowMaterializationJob(job_id, MaterializationJobStatus.SUCCEEDED, None, written)
        except Exception as error:  # Feast is told of any error by the job
            return ArrowMaterializationJob(job_id, MaterializationJobStatus.ERROR, error)
        log.info("%s is materialized by stock Feast: %s", view.name, prepared)
        return super()._materialize_one(registry, task, **kwargs)

    def _prepared(self, task: MaterializationTask) -> LatestRows | str:
        """Return the rows to write, or why stock Feast has to do it."""
        view = task.feature_view
        reason = why_stock(task, self.repo_config, self.offline_store) or why_not_writable(
            self.online_store, self.repo_config, view
        )
        if reason:
            return reason
        try:
            dataset = open_source(view.batch_source, self.repo_config.repo_path)
        except FileNotFoundError as error:
            return str(error)
        columns = ViewColumns.of(view)
        return why_stock_by_types(view, columns, dataset.schema) or LatestRows(
            dataset=dataset,
            keys=columns.keys,
            features=columns.features,
            event_time=columns.event_time,
            created_time=columns.created_time,
            start=task.start_time,
            end=task.end_time,
            limits=self.config.limits(),
        )

    def _write(self, view: FeatureView, rows: LatestRows, task: MaterializationTask) -> int:
        encoder = RowEncoder(
            join_keys={key.name: key.dtype.to_value_type().name for key in view.entity_columns},
            features={feature.name: feature.dtype.to_value_type().name for feature in view.features},
            with_texts=keeps_texts(self.online_store),
        )
        began = time.monotonic()
        found = rows.find()
        progress = _Progress(view.name, found, task, began)
        with (
            opened_writer(self.online_store, self.repo_config, view) as writer,
            _written_behind(writer) as send,
        ):
            for batch in rows.batches(found):
                progress.add(batch.num_rows, send(encoder.encode(batch)))
            progress.add(0, send(None))
        return progress.end()


@contextmanager
def _written_behind(writer: Writer) -> Iterator[Any]:
    """Yield a function that has rows written while the next are made; it returns what was written since."""
    waiting: deque[Future[int]] = deque()
    with ThreadPoolExecutor(1, "feature-ops-writer") as pool:

        def send(rows: Any) -> int:
            written = 0
            if rows is not None:
                waiting.append(pool.submit(writer.write, rows))
            while waiting and (rows is None or len(waiting) > _BATCHES_WAITING):
                written += waiting.popleft().result()
            return written

        try:
            yield send
        finally:
            for future in waiting:
                future.cancel()


class _Progress:
    """Tells how far it is: to Feast's bar, and to the log now and then."""

    def __init__(self, view: str, found: Found, task: MaterializationTask, began: float) -> None:
        self._view, self._found = view, found
        self._bar = task.tqdm_builder(found.count) if task.tqdm_builder and found.count else None
        self._began = self._told = began
        self._sent = self._written = 0

    def add(self, sent: int, written: int) -> None:
        self._sent += sent
        self._written += written
        if self._bar is not None:
            self._bar.update(sent)
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            log.info(
                "%s: %s of %s rows (%.0f %%)",
                *(self._view, f"{self._sent:,}", f"{self._found.count:,}"),
                100 * self._sent / self._found.count,
            )

    def end(self) -> int:
        if self._bar is not None:
            self._bar.close()
        seconds = max(time.monotonic() - self._began, 1e-6)
        log.info(
            "%s: %s rows written, the latest of %s in the window, in %.1f s (%s rows/s)",
            *(self._view, f"{self._written:,}", f"{len(self._found.latest):,}", seconds),
            f"{self._written / seconds:,.0f}",
        )
        return self._written

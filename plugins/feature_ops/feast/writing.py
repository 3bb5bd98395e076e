"""How Feast writes for one run: counted, strict about failed jobs, and over equal times where asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.online_failures import online_store_failures

if TYPE_CHECKING:
    from feast import FeatureStore

log = logging.getLogger(__name__)


class WrittenRows:
    """Counts the rows that reach the online store."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, view: str, rows: int) -> None:
        """Count rows of a feature view, and show that it goes on."""
        self.count += rows
        log.info("%s: %s rows written", view, f"{self.count:,}")


@contextmanager
def writing(store: FeatureStore, *, over_equal_times: bool) -> Iterator[WrittenRows]:
    """
    Let the store write under watch while the block runs.

    Whatever compute engine feature_store.yaml names: it is only looked at from outside.

    :param over_equal_times: write rows whose event time equals that of the row online, too.
    """
    rows = WrittenRows()
    provider = store._get_provider()  # Feast has no public way to the online store it uses
    with ExitStack() as stack:
        stack.enter_context(online_store_failures(store.config.online_store))
        stack.enter_context(_counted(provider.online_store, rows))
        stack.enter_context(_strict(provider.batch_engine, rows))
        if over_equal_times:
            stack.enter_context(_over_equal_times(store.config.online_store))
        yield rows


def is_seen_writing(store: FeatureStore) -> bool:
    """
    Whether the store's engine writes in this process, where rows are counted and failures raised.

    Workers of a cluster do neither: Feast's Ray engine logs what the online store refuses, and succeeds.
    """
    from feast.infra.compute_engines.local.compute import LocalComputeEngine

    provider: Any = store._get_provider()
    return isinstance(provider.batch_engine, LocalComputeEngine)


@contextmanager
def _counted(online_store: Any, rows: WrittenRows) -> Iterator[None]:
    def write(original: Callable[..., Any], config: Any, table: Any, data: Any, progress: Any) -> None:
        reports: list[int] = []

        def tally(count: int) -> None:
            reports.append(count)
            if progress:
                progress(count)

        with passing(CommitPoint.ROWS_ONLINE):
            original(config, table, data, tally)
        # Where a store leaves out rows that are no news, it reports each of them on its own, and
        # then the written ones together.
        leaves_out = getattr(config.online_store, "skip_dedup", None) is False
        rows.add(table.name, len(data) - (len(reports) - 1 if leaves_out and reports else 0))

    with _replaced(online_store, "online_write_batch", write):
        yield


@contextmanager
def _strict(engine: Any, rows: WrittenRows) -> Iterator[None]:
    """
    Raise where a job failed without saying why: Feast would note its window as materialized.

    Rows of an engine that writes without Feast's online store are counted by what its jobs say.
    """

    def materialize(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        jobs = original(*args, **kwargs)
        for job in jobs:
            rows.count += getattr(job, "rows_written", 0)
            status = job.status().name
            if status in ("ERROR", "CANCELLING", "CANCELLED") and not job.error():
                raise FeatureOpsError(
                    f"materialization job {job.job_id()} ended as {status} and gave no reason; "
                    "see the compute engine's own log"
                )
        return jobs

    with _replaced(engine, "materialize", materialize):
        yield


@contextmanager
def _over_equal_times(online_config: Any) -> Iterator[None]:
    """
    Have a Redis-protocol store write without looking at what it holds.

    It otherwise leaves out rows with the event time it already has, and so each correction of a
    value. This is safe under the lock and for a window that ends now: what is written is the
    newest row of each key.
    """
    if not hasattr(online_config, "skip_dedup"):
        # The other stores write whatever comes.
        yield
        return
    before = online_config.skip_dedup
    online_config.skip_dedup = True
    try:
        yield
    finally:
        online_config.skip_dedup = before


@contextmanager
def _replaced(target: Any, method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    original = getattr(target, method)
    setattr(target, method, lambda *args, **kwargs: replacement(original, *args, **kwargs))
    try:
        yield
    finally:
        # The class's own method shows again.
        delattr(target, method)

"""DuckDB that keeps to a limit of memory, and needs nothing from the internet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Limits:
    """
    What reading may take.

    :param memory: of DuckDB, in its own notation; more goes to disk.
    :param threads: of DuckDB.
    :param batch_rows: rows of a batch, at most.
    :param batch_bytes: bytes of a batch's columns, at most, but for a single row that has more.
    :param sorted_bytes: bytes of the rows that are sorted together, for stores that want them sorted.
    :param folder: where to spill to; the system's temporary folder if None.
    """

    memory: str = "128MB"
    threads: int = 2
    batch_rows: int = 16_384
    batch_bytes: int = 64 << 20
    sorted_bytes: int = 128 << 20
    folder: str | None = None

    def rows_per_batch(self, rows: pa.RecordBatch) -> int:
        """Return how many of these rows, at least one, make a batch, all batches being alike."""
        batches = max(-(-rows.num_rows // self.batch_rows), -(-rows.nbytes // self.batch_bytes))
        return int(-(-rows.num_rows // min(batches, rows.num_rows)))


@contextmanager
def bounded_duckdb(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    Yield a connection to an empty database; what it spilled is removed at the end.

    :raises MemoryError: what is done in the block needs more than the limit, in spite of the spilling.
    """
    import duckdb

    with TemporaryDirectory(prefix="feature-ops-duckdb-", dir=limits.folder) as folder:
        options = duckdb_options(limits.memory, limits.threads, folder)
        try:
            with duckdb.connect(config=options) as connection:
                yield connection
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(
                f"DuckDB needs more than its memory_limit of {limits.memory}: raise it"
            ) from error


def duckdb_options(memory: str, threads: int, folder: str) -> dict[str, Any]:
    """
    Return the configuration of a database whose tables have no order of rows.

    :param memory: in DuckDB's notation; more goes to the folder.
    """
    return {
        "memory_limit": memory,
        "threads": threads,
        "temp_directory": folder,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }

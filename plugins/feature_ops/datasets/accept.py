"""Write new rows as a file of the history, and find what an earlier try of a run accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from feature_ops.datasets.dataset import Dataset
from feature_ops.object_store import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

# Part of the file's bytes and so of its name.
_COMPRESSION_LEVEL = 3
_LARGEST_GROUP = 64 * 1024 * 1024


def write_history_file(
    batches: Iterator[pa.RecordBatch], dataset: Dataset, path: Path, group_rows: int
) -> str:
    """
    Write rows in the dataset's declared schema; the same rows give the same bytes.

    :param batches: rows in their order, both times in microseconds since 1970.
    :param group_rows: rows of a row group, which is held in memory.
    :returns: the name of the file, which says what it holds.
    """
    import pyarrow.parquet as pq

    schema = dataset.arrow_schema()
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        # The schema needs nothing that parquet's own types do not say.
        store_schema=False,
    ) as writer:
        for group in _row_groups(batches, group_rows):
            writer.write_table(_typed(group, schema), row_group_size=group_rows)
    return content_name(path)


def _row_groups(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Cut batches of any sizes into tables of one size; a smaller one is last, or has long rows."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        while sum(part.num_rows for part in waiting) >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows)
            waiting = table.slice(rows).to_batches()
        if sum(part.nbytes for part in waiting) >= _LARGEST_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the columns their declared types; only the two times change, and exactly."""
    import pyarrow as pa

    columns = [table.column(field.name).combine_chunks().cast(field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def content_name(path: Path) -> str:
    """Return the name of a history file: the hash of its bytes."""
    with path.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()[:20]}.parquet"


def accepted_earlier(
    dataset: Dataset, store: ObjectStore, *, report_uri: str, source_sha256: str
) -> tuple[str, dict[str, str]] | None:
    """
    Return what an earlier try of this run accepted from the same source: URI and metadata.

    A retry repeats that result instead of judging anew: the history may have moved on, and a
    second file would bring the same rows twice. Another run may have published the file meanwhile.

    :param report_uri: the run's report, whose metadata tells what the run was about to accept.
    """
    metadata = store.metadata(report_uri) or {}
    if metadata.get("source-sha256") != source_sha256 or "file" not in metadata:
        return None
    # A file that moves on is in the second place before it leaves the first.
    places = [f"{prefix}{metadata['file']}" for prefix in (dataset.accepted_uri, dataset.uri)]
    return next(((uri, metadata) for uri in places if store.exists(uri)), None)

"""The rows that a dataset already has: its history, and what was accepted but is not there yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_ops.datasets.dataset import Dataset
from feature_ops.exceptions import BadInputError
from feature_ops.history_failures import reading_history
from feature_ops.object_store import ObjectStore, StoredObject, split_uri

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyarrow.fs import FileSystem

_BATCH_ROWS = 16_384


def history_files(dataset: Dataset, store: ObjectStore) -> list[StoredObject]:
    """
    Return every file of the dataset, each name once.

    Accepted files are listed first: one that is published meanwhile is then found in the history.
    """
    accepted = _parquet(store, dataset.accepted_uri)
    published = _parquet(store, dataset.uri)
    return list({file.name: file for file in (*accepted, *published)}.values())


def _parquet(store: ObjectStore, prefix_uri: str) -> list[StoredObject]:
    return [file for file in store.list(prefix_uri) if file.name.endswith(".parquet")]


@contextmanager
def open_history(dataset: Dataset, store: ObjectStore) -> Iterator[History]:
    """
    Yield the dataset's rows on object storage, ready to be scanned.

    :raises BadInputError: a file cannot be read, or has a column of another type than the dataset declares.
    """
    files = history_files(dataset, store)
    if not files:
        yield History(dataset, [])
        return
    with reading_history([file.uri for file in files], store, dataset):
        newest = max(files, key=lambda file: (file.modified, file.name))
        # The others had to agree with it when it came.
        check_types(dataset, _schema(newest, store), newest.uri)
        paths = ["/".join(split_uri(file.uri)) for file in files]
        yield History(dataset, paths, store.filesystem)


def _schema(file: StoredObject, store: ObjectStore) -> pa.Schema:
    import pyarrow.parquet as pq

    return pq.read_schema("/".join(split_uri(file.uri)), filesystem=store.filesystem)


def check_types(dataset: Dataset, schema: pa.Schema, place: str) -> None:
    """
    Refuse a file of the history whose columns have other types than the dataset declares.

    :param place: the file's URI.
    :raises BadInputError: they have; the declaration was changed in code.
    """
    for declared in dataset.arrow_schema():
        position = schema.get_field_index(declared.name)
        found = declared.type if position < 0 else schema.field(position).type
        if found != declared.type:
            raise BadInputError(
                f"column {declared.name!r} is declared as {declared.type}, but {place} has it as {found}: a "
                f"history has one type per column. Declare it as {found} again; for the other type declare a "
                "new column, or a dataset of another name"
            )


@dataclass(frozen=True)
class History:
    """
    Files of a dataset in its declared schema.

    :param paths: their paths on the file system.
    :param filesystem: where they are; the local one if None.
    """

    dataset: Dataset
    paths: list[str]
    filesystem: FileSystem | None = None

    def scanner(self, first_keys: pa.Array | None) -> pads.Scanner:
        """
        Return a scanner whose memory does not grow with the history.

        Both times come as microseconds since 1970.

        :param first_keys: only rows whose first key column is among these; all rows if None. As
            files are sorted by key, most of a large one is then never read.
        """
        import pyarrow as pa
        import pyarrow.dataset as pads

        # Without read-ahead: it would hold dozens of batches of a large history.
        scan = pads.ParquetFragmentScanOptions(use_buffered_stream=True, pre_buffer=False)
        files = pads.dataset(
            self.paths,
            schema=self.dataset.arrow_schema(),
            format=pads.ParquetFileFormat(default_fragment_scan_options=scan),
            filesystem=self.filesystem,
        )
        times = (self.dataset.timestamp_field, self.dataset.created_timestamp_column)
        columns = {
            name: pads.field(name).cast(pa.int64()) if name in times else pads.field(name)
            for name in self.dataset.arrow_schema().names
        }
        first_key = pads.field(self.dataset.keys[0])
        return files.scanner(
            columns=columns,
            filter=None if first_keys is None else first_key.isin(first_keys),
            batch_size=_BATCH_ROWS,
            batch_readahead=2,
            fragment_readahead=1,
        )

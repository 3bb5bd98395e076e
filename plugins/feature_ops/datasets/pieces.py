"""
Read an untrusted parquet file in pieces of bounded size.

A page of a few bytes may unpack to gigabytes. What a file unpacks to is counted while it is read; what Arrow
itself allocates for a page is bounded by the memory limit of the process (see ``parser_process``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.int96 import int96_columns, with_lost_digits
from feature_ops.datasets.parquet_source import dictionary_columns, reading_source, reopened
from feature_ops.datasets.plain_arrays import plain_array
from feature_ops.datasets.value_sizes import is_list_of_numbers, value_sizes
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# What is unpacked at once, and what a piece of the file takes in memory.
_READ_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 16 * 1024 * 1024
_READ_ROWS = 65_536
_FEWEST_ROWS = 64
# Of a value, however it is packed: the offset of a text, or half a number.
_LEAST_BYTES = 4
# Of a number in memory, with its place in a list.
_VALUE_BYTES = 12
# DuckDB holds some thousand rows at least, so they may not all be long.
_LONG_VALUE = 4 * 1024
_LONG_NUMBERS = 16 * 1024
_LONG_VALUES = 32 * 1024 * 1024


class Pieces:
    """
    The rows of a file in pieces whose size in memory is bounded.

    :param path: where the file is.
    :param file: the file, open.
    :param columns: names of the columns that are read.
    :param limit: bytes that all of it may unpack to.
    :raises BadInputError: while it is iterated, if the file can't be read or unpacks to more.
    """

    def __init__(self, path: Path, file: pq.ParquetFile, columns: list[str], limit: int) -> None:
        self._path, self._file, self._columns, self._limit = path, file, columns, limit
        self._unpacked = self._long = self._read = 0

    @property
    def rows_of_one(self) -> int:
        """Rows of a piece of usual size: the same whenever the file is read."""
        width = max(1, self._unpacked // max(self._read, 1))
        return max(64, min(_READ_ROWS, _PIECE_BYTES // width))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the pieces, all of whose columns have plain types."""
        import pyarrow as pa

        self._check_unpacked(self._file.metadata.num_rows * len(self._columns) * _LEAST_BYTES)
        waiting: list[pa.RecordBatch] = []
        rows = size = 0
        for batch, batch_size in self._small_batches():
            full = rows + batch.num_rows > _READ_ROWS or size + batch_size > _PIECE_BYTES
            if waiting and (full or batch.schema != waiting[0].schema):
                yield pa.concat_batches(waiting)
                waiting, rows, size = [], 0, 0
            waiting.append(batch)
            rows += batch.num_rows
            size += batch_size
        if waiting:
            yield pa.concat_batches(waiting)

    def _small_batches(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        import numpy as np

        for batch in self._batches():
            ends = np.cumsum(self._row_sizes(batch))
            self._unpacked += int(ends[-1])
            self._read += batch.num_rows
            self._check_unpacked(self._unpacked)
            cuts = np.flatnonzero(np.diff(ends // _PIECE_BYTES)) + 1
            bounds = [0, *cuts.tolist(), batch.num_rows]
            for start, end in pairwise(bounds):
                size = int(ends[end - 1] - (ends[start - 1] if start else 0))
                yield _plain(batch.slice(start, end - start)), size

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield what Arrow reads at once, unless it is empty."""
        rows = _rows_at_once(self._file.metadata, self._columns)
        with ExitStack() as opened:
            file = opened.enter_context(
                reopened(self._path, self._file, dictionary_columns(self._file, self._columns))
            )
            batches = file.iter_batches(rows, columns=self._columns, use_threads=False)
            precise: Iterator[pa.RecordBatch] = iter(())
            legacy = int96_columns(self._file, self._columns)
            if legacy:
                second = opened.enter_context(reopened(self._path, self._file, [], int96_unit="ns"))
                precise = second.iter_batches(rows, columns=legacy, use_threads=False)
            while True:
                with reading_source(f"after row {self._read:,}" if self._read else ""):
                    batch, nanoseconds = next(batches, None), next(precise, None)
                    _check_dictionaries(batch)
                if batch is None:
                    return
                if batch.num_rows:
                    yield batch if nanoseconds is None else with_lost_digits(batch, nanoseconds)

    def _check_unpacked(self, size: int) -> None:
        if size > self._limit:
            raise BadInputError(
                f"the parquet file unpacks to more than {self._limit:,} bytes: split it, or raise "
                "FEATURE_OPS_SOURCE_MAX_SIZE"
            )

    def _row_sizes(self, batch: pa.RecordBatch) -> Any:
        import numpy as np
        import pyarrow.types as t

        sizes = np.zeros(batch.num_rows, np.int64)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            of_column = value_sizes(array)
            sizes += of_column
            long = _LONG_NUMBERS if is_list_of_numbers(array.type) else _LONG_VALUE
            self._long += int(of_column[of_column > long].sum())
            if self._long > _LONG_VALUES:
                what = "values" if t.is_nested(array.type) else "texts"
                raise BadInputError(
                    f"column {name!r} has too many long {what}: those of more than {long:,} bytes take "
                    f"more than {_LONG_VALUES:,} bytes together: store them elsewhere, and their path here"
                )
        return sizes


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([plain_array(array) for array in batch.columns], batch.schema.names)


def _check_dictionaries(batch: pa.RecordBatch | None) -> None:
    """Raise ``ArrowInvalid`` if a value is outside of its dictionary, which Arrow does not check."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    for array in batch.columns if batch is not None else ():
        if t.is_nested(array.type):
            array.validate(full=True)
        elif t.is_dictionary(array.type):
            used = pc.min_max(array.indices).as_py()
            if used["min"] is not None and not 0 <= used["min"] <= used["max"] < len(array.dictionary):
                raise pa.ArrowInvalid(
                    f"value {used['max']:,} of a dictionary of {len(array.dictionary):,} values"
                )


def _rows_at_once(metadata: pq.FileMetaData, columns: list[str]) -> int:
    """Return how many rows to read at once, by the sizes in the footer. A false footer costs memory only."""
    leaves = [
        number
        for number in range(metadata.num_columns)
        if (path := metadata.schema.column(number).path) in columns or path.partition(".")[0] in columns
    ]
    widest = 1.0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(leaf) for leaf in leaves]
        # A list of equal numbers takes next to nothing in the file.
        size = sum(max(chunk.total_uncompressed_size, chunk.num_values * _VALUE_BYTES) for chunk in chunks)
        widest = max(widest, size / max(group.num_rows, 1))
    return max(_FEWEST_ROWS, min(_READ_ROWS, int(_READ_BYTES / widest)))

"""
Read a stranger's parquet file in pieces of bounded size, however small it is packed.

A page of a few bytes may unpack to gigabytes, and a dictionary's one long text may stand in every row.
So before anything is read, the headers of all pages and the texts of dictionaries say how many rows
can be unpacked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.page_headers import (
    DELTA_BYTE_ARRAY,
    DELTA_LENGTH_BYTE_ARRAY,
    DICTIONARY_NUMBERS,
    DamagedPageError,
    Page,
    pages,
)
from feature_ops.datasets.value_sizes import is_list_of_numbers, value_sizes
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# What is unpacked at once, and what a piece of the file takes in memory.
_READ_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 16 * 1024 * 1024
_READ_ROWS = 65_536
# Of a value, however it is packed: a text's place, or half a number.
_LEAST_BYTES = 4
# Of each column that is read, a page and its dictionary are held.
_LARGEST_PAGES = 256 * 1024 * 1024
_MOST_PAGES = 500_000
# Of a row group's lists: one row may have all their elements.
_LARGEST_LISTS = 128 * 1024 * 1024
# DuckDB holds some thousand rows at least, so they may not all be long.
_LONG_VALUE = 4 * 1024
_LONG_NUMBERS = 16 * 1024
_LONG_VALUES = 32 * 1024 * 1024
_DELTA_TEXTS = frozenset({DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY})


@dataclass
class _Column:
    """
    What a column's pages ask of a reader.

    :param is_text: whether it holds bytes of any length.
    :param is_category: whether it is read as numbers of a dictionary, which then grows by what is not.
    :param is_repeated: whether a row may have many of its values.
    :param width: bytes of a value that is no text.
    :param largest: bytes of its largest page.
    :param dictionary: bytes of its largest dictionary.
    :param grown: bytes that a dictionary grows by within a row group.
    :param row: bytes of a row where rows are widest, but for two pages.
    """

    is_text: bool
    is_category: bool
    is_repeated: bool = False
    width: int = 8
    largest: int = 0
    dictionary: int = 0
    grown: int = 0
    row: float = 0.0
    longest: int = 0

    @property
    def held(self) -> int:
        """Bytes of it in memory while it is read, but for what was read."""
        return 2 * self.largest + self.dictionary + self.grown

    def count(self, page: Page) -> None:
        """Take a page into account."""
        size = max(page.packed, page.unpacked)
        if page.is_dictionary:
            if page.values > 8 * size:
                raise DamagedPageError(f"a dictionary claims {page.values:,} values in {size:,} bytes")
            # It is held as it came, with an index over it.
            self.dictionary = max(self.dictionary, 2 * size + 48 * page.values)
            return
        # Lengths of texts are unpacked for a whole page, from next to nothing if they are all equal.
        self.largest = max(self.largest, size + (8 * page.values if page.encoding in _DELTA_TEXTS else 0))
        if self.is_repeated:
            return  # pages do not say how many rows they hold
        # A text that continues the one before it may be as long as the whole page, in every row.
        whole = page.encoding == DELTA_BYTE_ARRAY
        self.row = max(self.row, size / 8 if whole else size / max(page.values, 1))

    def count_chunk(self, found: list[Page], rows: int) -> int:
        """
        Take all pages of a row group into account.

        :param rows: how many rows it has.
        :returns: bytes that the elements of its lists unpack to; none if it has no lists.
        """
        if self.is_category:
            plain = sum(p.unpacked for p in found if p.encoding not in DICTIONARY_NUMBERS)
            self.grown = max(self.grown, 2 * plain)
        if not self.is_repeated:
            return 0
        size = sum(self._elements(page) for page in found if not page.is_dictionary)
        self.row = max(self.row, size / max(rows, 1))
        return size

    def _elements(self, page: Page) -> int:
        """Return the bytes of a page's elements, each with its place in the row."""
        if not self.is_text:
            return page.values * (self.width + _LEAST_BYTES)
        size = max(page.packed, page.unpacked)
        longest = size if page.encoding == DELTA_BYTE_ARRAY else self.longest
        if page.encoding in DICTIONARY_NUMBERS or page.encoding == DELTA_BYTE_ARRAY:
            return page.values * (longest + 2 * _LEAST_BYTES)
        return size + page.values * 2 * _LEAST_BYTES

    def count_text(self, length: int) -> None:
        """Take the longest text of a dictionary into account: each row may have it."""
        self.longest = max(self.longest, length)
        if not self.is_repeated:
            self.row = max(self.row, length)


def rows_at_once(
    path: Path, metadata: pq.FileMetaData, columns: Mapping[str, pa.DataType], limit: int
) -> int:
    """
    Return how many rows of a file can be read at once in bounded memory.

    :param columns: what is read, with Arrow's types.
    :param limit: bytes that all of it may unpack to.
    :raises BadInputError: it cannot be, or its pages are not what they should be.
    """
    found = dict(_columns(metadata, columns))
    check_unpacked(metadata.num_rows * len(found) * _LEAST_BYTES, limit)
    count = unpacked = 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        for group, number, chunk in _chunks(metadata, list(found)):
            column, seen = found[number], []
            for page in _pages(mapped, chunk):
                column.count(page)
                count += 1
                unpacked += page.unpacked
                if count > _MOST_PAGES:
                    raise BadInputError(
                        f"the parquet file has more than {_MOST_PAGES:,} pages: write it with larger ones"
                    )
                check_unpacked(unpacked, limit)
                _check_held(found.values())
                if page.is_dictionary and column.is_text:
                    column.count_text(_longest_text(mapped, page, chunk.compression))
                seen.append(page)
            in_lists = column.count_chunk(seen, metadata.row_group(group).num_rows)
            unpacked += in_lists
            _check_lists(chunk.path_in_schema, in_lists)
            check_unpacked(unpacked, limit)
    _check_held(found.values())
    widest = sum(column.row for column in found.values())
    return max(1, min(_READ_ROWS, int(_READ_BYTES / max(widest, 1))))


def check_unpacked(size: int, limit: int) -> None:
    """Raise :class:`BadInputError` if a file unpacks to more than what is allowed."""
    if size > limit:
        raise BadInputError(
            f"the parquet file unpacks to more than {limit:,} bytes: split it, or raise "
            "FEATURE_OPS_SOURCE_MAX_SIZE"
        )


def _check_lists(path: str, size: int) -> None:
    if size > _LARGEST_LISTS:
        raise BadInputError(
            f"the lists of column {path.partition('.')[0]!r} unpack to as much as {size:,} bytes in one row "
            f"group, more than {_LARGEST_LISTS:,}: write the file with smaller row groups (in pandas and "
            "pyarrow: row_group_size=50_000)"
        )


def _check_held(columns: Iterable[_Column]) -> None:
    held = sum(column.held for column in columns)
    if held > _LARGEST_PAGES:
        raise BadInputError(
            f"the parquet file's pages unpack to {held:,} bytes at once, more than {_LARGEST_PAGES:,}: "
            "write it with smaller pages (1 MB each is usual)"
        )


def _columns(metadata: pq.FileMetaData, columns: Mapping[str, pa.DataType]) -> Iterator[tuple[int, _Column]]:
    import pyarrow as pa

    for number in range(metadata.num_columns):
        leaf = metadata.schema.column(number)
        # What is in a list or a struct has the column's name before its own.
        name = leaf.path if leaf.path in columns else leaf.path.partition(".")[0]
        if name in columns:
            yield (
                number,
                _Column(
                    is_text=leaf.physical_type == "BYTE_ARRAY",
                    is_category=pa.types.is_dictionary(columns[name]),
                    is_repeated=leaf.max_repetition_level > 0,
                    width=max(8, leaf.length),
                ),
            )


def _chunks(
    metadata: pq.FileMetaData, numbers: list[int]
) -> Iterator[tuple[int, int, pq.ColumnChunkMetaData]]:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in numbers:
            yield group, number, row_group.column(number)


def _pages(file: mmap, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    return pages(file, start, chunk.total_compressed_size)


def _longest_text(file: mmap, page: Page, compression: str) -> int:
    """Return the bytes of the longest text of a dictionary, or at most its own if it cannot be told."""
    content = file[page.start : page.start + page.packed]
    if compression != "UNCOMPRESSED":
        import pyarrow as pa

        try:
            # Parquet's newer files mean this by LZ4.
            codec = pa.Codec("lz4_raw" if compression == "LZ4" else compression.lower())
            content = codec.decompress(content, page.unpacked, asbytes=True)
        except (pa.ArrowException, OSError, ValueError):
            return page.unpacked
    longest = at = 0
    while at + 4 <= len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return min(longest, page.unpacked)


class Pieces:
    """
    The rows of a file in pieces whose size in memory is bounded.

    :param rows: how many can be read at once.
    :param limit: bytes that all of it may unpack to.
    """

    def __init__(self, file: pq.ParquetFile, columns: list[str], rows: int, limit: int) -> None:
        self._file, self._columns, self._rows, self._limit = file, columns, rows, limit
        self._unpacked = self._long = self._read = 0

    @property
    def rows_of_one(self) -> int:
        """Rows of a piece of usual size: the same whenever the file is read."""
        width = max(1, self._unpacked // max(self._read, 1))
        return max(64, min(_READ_ROWS, _PIECE_BYTES // width))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the pieces, none of which has anything left in a dictionary."""
        import pyarrow as pa

        waiting: list[pa.RecordBatch] = []
        rows = size = 0
        for batch, batch_size in self._small_batches():
            if waiting and (rows + batch.num_rows > _READ_ROWS or size + batch_size > _PIECE_BYTES):
                yield pa.concat_batches(waiting)
                waiting, rows, size = [], 0, 0
            waiting.append(batch)
            rows += batch.num_rows
            size += batch_size
        if waiting:
            yield pa.concat_batches(waiting)

    def _small_batches(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        import numpy as np

        for batch in self._file.iter_batches(self._rows, columns=self._columns):
            if not batch.num_rows:
                continue
            ends = np.cumsum(self._row_sizes(batch))
            self._unpacked += int(ends[-1])
            self._read += batch.num_rows
            check_unpacked(self._unpacked, self._limit)
            cuts = np.flatnonzero(np.diff(ends // _PIECE_BYTES)) + 1
            bounds = [0, *cuts.tolist(), batch.num_rows]
            for start, end in pairwise(bounds):
                size = int(ends[end - 1] - (ends[start - 1] if start else 0))
                yield _without_dictionaries(batch.slice(start, end - start)), size

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
                    f"more than {_LONG_VALUES:,} bytes together: keep them elsewhere, and their place here"
                )
        return sizes


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)

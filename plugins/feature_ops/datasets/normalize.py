"""Rewrite a source file into the dataset's declared types, batch by batch, checking every row."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.casting import exact_cast
from feature_ops.datasets.column import Column
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.layout import Layout, plan_layout, shown_name
from feature_ops.datasets.page_headers import DamagedPageError
from feature_ops.datasets.rules import check_rows, row_rules
from feature_ops.datasets.unpacking import Pieces, rows_at_once
from feature_ops.datasets.violations import Violations
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_COLUMN = "__row__"
# A column chunk is read through a buffer of this size, however large its row group is.
_READ_BUFFER = 1024 * 1024
# The footer is parsed in memory; this holds the statistics of some 300,000 column chunks.
_LARGEST_FOOTER = 32 * 1024 * 1024


@dataclass
class ColumnFacts:
    """
    What a column of the file holds, for the report.

    :param source: the file's name of it, None if the file lacks it.
    :param source_type: its type in the file.
    """

    name: str
    type: str
    source: str | None
    source_type: str | None
    nulls: int = 0
    smallest: Any = None
    largest: Any = None

    def count(self, array: pa.Array) -> None:
        """Take the values of one batch into account."""
        import pyarrow.compute as pc
        import pyarrow.types as t

        self.nulls += array.null_count
        if t.is_nested(array.type):
            return  # lists and structs have no order
        bounds = pc.min_max(array).as_py()
        self.smallest = min((v for v in (self.smallest, bounds["min"]) if v is not None), default=None)
        self.largest = max((v for v in (self.largest, bounds["max"]) if v is not None), default=None)


@dataclass
class Normalized:
    """
    A source file in the declared types, and what was found on the way.

    :param path: local parquet file with the declared columns, the event time in microseconds since
        1970 and the row's number in the source; incomplete if there are violations.
    :param batch_rows: how many rows may be held at once; the same whenever the file is read.
    """

    path: Path
    layout: Layout
    columns: list[ColumnFacts] = field(default_factory=list)
    rows: int = 0
    batch_rows: int = 0
    violations: Violations = field(default_factory=Violations)


def normalize(
    source: Path,
    target: Path,
    dataset: Dataset,
    *,
    timestamp_column: str,
    stamp: datetime,
    latest: datetime,
    limit: int,
) -> Normalized:
    """
    Rewrite a parquet file and check its rows.

    :param timestamp_column: the event time's column if the user named one, else "".
    :param stamp: event time of rows whose file has none (UTC).
    :param latest: no event may be later (UTC).
    :param limit: bytes that the file may unpack to.
    :raises BadInputError: the file is not parquet, damaged, without rows or too large when unpacked.
    """
    with _open_parquet(source) as file:
        violations = Violations()
        layout = plan_layout(file.schema_arrow, dataset, timestamp_column, violations)
        result = Normalized(target, layout, _column_facts(file.schema_arrow, dataset, layout))
        result.violations = violations
        if not violations:
            types = {name: file.schema_arrow.field(name).type for name in layout.read}
            rows = rows_at_once(source, file.metadata, types, limit)
            pieces = Pieces(file, layout.read, rows, limit)
            _rewrite(pieces, result, dataset, stamp, latest)
            _check_count(file.metadata, result)
            result.batch_rows = pieces.rows_of_one
    _return_memory()
    return result


@contextmanager
def _open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a file from strangers; what Arrow says about it while it is read is about its content."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_footer(path)
    try:
        with pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=_READ_BUFFER,
            # Older writers' 96-bit times hold years that do not fit into nanoseconds.
            coerce_int96_timestamp_unit="us",
        ) as file:
            if not file.metadata.num_rows:
                raise BadInputError("the file has no rows: check the job that writes it")
            yield file
    except (pa.ArrowException, DamagedPageError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the local disk, not the file
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise BadInputError(
            f"the parquet file is damaged: {reason}; check that it was written and sent completely"
        ) from None


def _check_footer(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
        size = file.seek(0, 2)
        file.seek(max(size - 8, 0))
        end = file.read(8)
    if start != b"PAR1":
        raise BadInputError(f"the file is not parquet (it starts with {start!r}): check the address")
    if size < 12 or end[4:] != b"PAR1":
        raise BadInputError("the parquet file is cut off: check that it was written and sent completely")
    footer = int.from_bytes(end[:4], "little")
    if footer > _LARGEST_FOOTER:
        raise BadInputError(
            f"the parquet file's footer claims {footer:,} bytes, more than {_LARGEST_FOOTER:,}: "
            "write it with fewer columns or larger row groups"
        )


def _column_facts(schema: pa.Schema, dataset: Dataset, layout: Layout) -> list[ColumnFacts]:
    sources = {**layout.columns, dataset.timestamp_field: layout.timestamp}
    facts = []
    for column in dataset.read_columns:
        source = sources.get(column.name)
        place = schema.get_field_index(source or "")  # -1 also if the name stands there twice
        source_type = shown_name(str(schema.field(place).type)) if place >= 0 else None
        facts.append(ColumnFacts(column.name, column.described, source, source_type))
    return facts


def _rewrite(pieces: Pieces, result: Normalized, dataset: Dataset, stamp: datetime, latest: datetime) -> None:
    import pyarrow.parquet as pq

    rules = row_rules(dataset, latest)
    writer: pq.ParquetWriter | None = None
    try:
        for piece in pieces:
            table = _cast(piece, result, dataset, stamp)
            if table is not None:
                check_rows(rules, dataset, table, result.rows + 1, result.violations)
                _count(table, result)
                gc.collect(1)  # pandera leaves each batch in a cycle
            if table is not None and not result.violations:
                table = _numbered(table, dataset, result.rows + 1)
                writer = writer or pq.ParquetWriter(result.path, table.schema, compression="lz4")
                writer.write_table(table)
            result.rows += piece.num_rows
    finally:
        if writer is not None:
            writer.close()


def _check_count(metadata: pq.FileMetaData, result: Normalized) -> None:
    if result.rows != metadata.num_rows:
        raise BadInputError(
            f"the parquet file is damaged: it claims {metadata.num_rows:,} rows and has {result.rows:,}"
            ": check the job that writes it"
        )


def _cast(batch: pa.RecordBatch, result: Normalized, dataset: Dataset, stamp: datetime) -> pa.Table | None:
    """Return the batch in the declared types, or None if a value of it would not survive that."""
    import pyarrow as pa

    layout = result.layout
    sources: dict[str, str | None] = {**layout.columns, dataset.timestamp_field: layout.timestamp}
    arrays, fields, exact = [], [], True
    for column in dataset.read_columns:
        source = sources.get(column.name)
        if source is not None:
            array = _cast_column(batch.column(source), column, result)
        else:
            value = stamp if column.name == dataset.timestamp_field else None
            array = pa.repeat(pa.scalar(value, column.arrow_type()), batch.num_rows)
        exact &= array is not None
        arrays.append(array)
        fields.append(pa.field(column.name, column.arrow_type()))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)) if exact else None


def _cast_column(array: pa.Array, column: Column, result: Normalized) -> pa.Array | None:
    rule = f"has values that do not fit into {column.described} unchanged"
    cast, offending = exact_cast(array, column, result.violations.wanted(column.name, rule))
    if cast is None:
        rows = [(result.rows + 1 + position, _raw(array[position])) for position in offending]
        result.violations.add(column.name, rule, rows, len(rows), complete=False)
    return cast


def _raw(value: pa.Scalar) -> object:
    """Return a value as Python shows it; Arrow's own text where Python has no such value."""
    try:
        return value.as_py()
    except (ValueError, OverflowError, UnicodeDecodeError):
        return str(value)


def _count(table: pa.Table, result: Normalized) -> None:
    for facts in result.columns:
        facts.count(table.column(facts.name))


def _return_memory() -> None:
    """Give the batches' memory back before DuckDB takes its own."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()


def _numbered(table: pa.Table, dataset: Dataset, first_row: int) -> pa.Table:
    import pyarrow as pa

    numbers = pa.array(range(first_row, first_row + table.num_rows), pa.int64())
    position = table.schema.get_field_index(dataset.timestamp_field)
    # Time as a plain number: no step between here and the history can read it in another zone.
    times = table.column(position).cast(pa.int64())
    return table.set_column(position, dataset.timestamp_field, times).append_column(ROW_COLUMN, numbers)

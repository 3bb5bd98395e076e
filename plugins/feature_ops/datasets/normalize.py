"""Rewrite a source file into the dataset's declared types, batch by batch, checking every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from feature_ops.datasets.casting import cast_remedy, exact_cast
from feature_ops.datasets.column import Column
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.layout import Layout, plan_layout
from feature_ops.datasets.names import shown_name
from feature_ops.datasets.parquet_source import open_parquet
from feature_ops.datasets.pieces import Pieces
from feature_ops.datasets.rules import RowRules
from feature_ops.datasets.shown_scalars import shown_scalar
from feature_ops.datasets.violations import Violation, Violations, shown_value
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_COLUMN = "__row__"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class ColumnFacts:
    """
    What a column of the file holds, for the report.

    :param source: the file's name of it, None if the file lacks it.
    :param source_type: its type in the file.
    :param smallest: smallest value as the report shows it: a number, a truth value or a text.
    """

    name: str
    type: str
    source: str | None
    source_type: str | None
    nulls: int = 0
    smallest: Any = None
    largest: Any = None


class _Bounds:
    """Counts nulls and bounds of a column, batch by batch."""

    def __init__(self) -> None:
        self.nulls = 0
        self.smallest: Any = None
        self.largest: Any = None
        self._shown: Callable[[Any], Any] = _shown_bound

    def count(self, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        self.nulls += array.null_count
        if t.is_nested(array.type):
            return  # lists and structs have no order
        if t.is_timestamp(array.type):
            # Python has no times beyond the year 9999.
            array, self._shown = array.cast(pa.int64()), _shown_time
        bounds = pc.min_max(array).as_py()
        self.smallest = min((v for v in (self.smallest, bounds["min"]) if v is not None), default=None)
        self.largest = max((v for v in (self.largest, bounds["max"]) if v is not None), default=None)

    def write_to(self, facts: ColumnFacts) -> None:
        facts.nulls = self.nulls
        facts.smallest, facts.largest = self._shown(self.smallest), self._shown(self.largest)


def _shown_bound(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)  # JSON has no infinity
    return shown_value(value)


def _shown_time(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds:,} microseconds since 1970"


@dataclass
class Normalized:
    """
    A source file in the declared types, and what was found on the way.

    :param path: local parquet file with the declared columns, the event time in microseconds since 1970 and
        the row's number in the source. If a value can't be converted, its column is null in that batch.
    :param batch_rows: how many rows may be held at once; the same whenever the file is read.
    """

    path: Path
    layout: Layout
    columns: list[ColumnFacts] = field(default_factory=list)
    rows: int = 0
    batch_rows: int = 0
    violations: Violations = field(default_factory=Violations)

    def to_json(self) -> dict[str, Any]:
        """Return all but the path as JSON."""
        return {
            "layout": asdict(self.layout),
            "columns": [asdict(column) for column in self.columns],
            "rows": self.rows,
            "batch_rows": self.batch_rows,
            "violations": [violation.facts() for violation in self.violations],
        }

    @classmethod
    def of_json(cls, path: Path, found: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_json` was made of."""
        layout: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found["layout"].items()
        }
        return cls(
            path,
            Layout(**layout),
            [ColumnFacts(**column) for column in found["columns"]],
            int(found["rows"]),
            int(found["batch_rows"]),
            Violations(Violation.of_facts(facts) for facts in found["violations"]),
        )


def normalize(
    source: Path,
    target: Path,
    dataset: Dataset,
    *,
    timestamp_column: str,
    stamp: datetime,
    latest: datetime,
    limit: int,
    progress: Callable[[int], None] = lambda rows: None,
) -> Normalized:
    """
    Rewrite a parquet file and check its rows.

    :param timestamp_column: the event time's column if the user named one, else "".
    :param stamp: event time of rows whose file has none (UTC).
    :param latest: no event may be later (UTC).
    :param limit: bytes that the file may unpack to.
    :param progress: called with the number of rows that are done.
    :raises BadInputError: the file can't be read, has no rows or is too large when unpacked.
    """
    with open_parquet(source) as file:
        violations = Violations()
        layout = plan_layout(file.schema_arrow, dataset, timestamp_column, violations)
        result = Normalized(target, layout, _column_facts(file.schema_arrow, dataset, layout))
        result.violations = violations
        if not layout.read:
            result.rows = file.metadata.num_rows
            return result
        pieces = Pieces(source, file, layout.read, limit)
        _Rewriting(result, dataset, stamp, latest).run(pieces, progress)
        _check_count(file.metadata, result)
        result.batch_rows = pieces.rows_of_one
    return result


def _column_facts(schema: pa.Schema, dataset: Dataset, layout: Layout) -> list[ColumnFacts]:
    sources = {**layout.columns, dataset.timestamp_field: layout.timestamp}
    facts = []
    for column in dataset.read_columns:
        source = sources.get(column.name)
        place = schema.get_field_index(source or "")  # -1 also if the name stands there twice
        source_type = shown_name(str(schema.field(place).type)) if place >= 0 else None
        facts.append(ColumnFacts(column.name, column.described, source, source_type))
    return facts


def _check_count(metadata: pq.FileMetaData, result: Normalized) -> None:
    if result.rows != metadata.num_rows:
        raise BadInputError(
            f"the parquet file is damaged: it claims {metadata.num_rows:,} rows and has {result.rows:,}"
            ": check the job that writes it"
        )


class _Rewriting:
    """Casts, checks and writes the pieces of one file."""

    def __init__(self, result: Normalized, dataset: Dataset, stamp: datetime, latest: datetime) -> None:
        self._result, self._dataset, self._stamp = result, dataset, stamp
        self._rules = RowRules(dataset, latest)
        self._bounds = {column.name: _Bounds() for column in dataset.read_columns}

    def run(self, pieces: Pieces, progress: Callable[[int], None]) -> None:
        """Rewrite all pieces."""
        import pyarrow.parquet as pq

        writer: pq.ParquetWriter | None = None
        try:
            for piece in pieces:
                table = self._table(piece)
                writer = writer or pq.ParquetWriter(self._result.path, table.schema, compression="lz4")
                writer.write_table(table)
                self._result.rows += piece.num_rows
                progress(self._result.rows)
        finally:
            if writer is not None:
                writer.close()
        for facts in self._result.columns:
            self._bounds[facts.name].write_to(facts)

    def _table(self, batch: pa.RecordBatch) -> pa.Table:
        """Return a batch in the declared types, with the number of each row."""
        import pyarrow as pa

        columns = {column.name: self._column(batch, column) for column in self._dataset.read_columns}
        # Time as a plain number: no step between here and the history can read it in another zone.
        name = self._dataset.timestamp_field
        columns[name] = columns[name].cast(pa.int64())
        first = self._result.rows + 1
        columns[ROW_COLUMN] = pa.array(range(first, first + batch.num_rows), pa.int64())
        return pa.table(columns)

    def _column(self, batch: pa.RecordBatch, column: Column) -> pa.Array:
        """Return a column in its declared type, checked; all null if the file does not have it so."""
        import pyarrow as pa

        layout, nothing = self._result.layout, pa.nulls(batch.num_rows, column.arrow_type())
        source = layout.source(column.name, self._dataset)
        if source is not None:
            array = self._cast(batch.column(source), column)
            if array is None:
                return nothing
            self._rules.check(column, array, self._result.rows + 1, self._result.violations)
        elif column.name == self._dataset.timestamp_field and layout.stamped:
            array = pa.repeat(pa.scalar(self._stamp, column.arrow_type()), batch.num_rows)
        else:
            array = nothing
        self._bounds[column.name].count(array)
        return array

    def _cast(self, array: pa.Array, column: Column) -> pa.Array | None:
        """Return the values in the declared type, or None if one of them would not survive that."""
        import pyarrow as pa

        violations = self._result.violations
        rule = f"has values that do not fit into {column.described} unchanged"
        try:
            cast, offending = exact_cast(array, column, violations.wanted(column.name, rule))
        except pa.ArrowNotImplementedError:
            rule = f"has type {shown_name(str(array.type))}, which can't be converted to {column.described}"
            violations.add(column.name, rule, remedy="cast it where the file is written")
            return None
        if cast is None:
            rows = [
                (self._result.rows + 1 + position, shown_scalar(array[position])) for position in offending
            ]
            remedy = cast_remedy(array.type, column)
            violations.add(column.name, rule, rows, len(rows), complete=False, remedy=remedy)
        return cast

"""
Which rows of a file are news: rules over the whole file and the dataset's history, in DuckDB.

All versions of a key, old and new, stand in one line by time; each new row is compared with the
one before it. A new row that equals it says nothing new; so A, B, A are three versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.history import History
from feature_ops.datasets.normalize import ROW_COLUMN
from feature_ops.datasets.violations import ROWS_SHOWN, Violations, shown_value
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# So many keys are sought in the history by name; more are cheaper found by reading it whole.
_KEYS_SOUGHT = 10_000
# One of DuckDB's own vectors: larger batches are collected in memory beyond its limit.
_BATCH_ROWS = 2048
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NewRows:
    """
    What a file brings.

    :param new: rows that enter the history.
    :param known: rows that equal the newest version of their key at their time.
    :param repeated: rows that stand in the file more than once with equal values.
    :param corrections: new rows for a key and time that the history already has.
    :param first_event: earliest event of the new rows; None if there are none.
    :param last_event: latest event of them.
    """

    new: int
    known: int
    repeated: int
    corrections: int
    first_event: datetime | None
    last_event: datetime | None


@dataclass(frozen=True)
class _Twin:
    """A key that stands in another row too, as the report shows it."""

    key: list[object]
    row: int

    def __str__(self) -> str:
        return f"{', '.join(map(shown_value, self.key))} as in row {self.row:,}"


class Comparison:
    """A file compared with the history, held by DuckDB, on disk where memory is short."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
        self._connection = connection
        self._dataset = dataset

    def counts(self) -> NewRows:
        """Return what the file brings."""
        time = _quoted(self._dataset.timestamp_field)
        ((new, known, repeated, corrections, first, last),) = self._connection.execute(
            f"""
            SELECT count(*) FILTER (verdict = 'new'),
                   count(*) FILTER (verdict = 'known'),
                   count(*) FILTER (verdict = 'repeated'),
                   count(*) FILTER (verdict = 'new' AND corrects),
                   min({time}) FILTER (verdict = 'new'),
                   max({time}) FILTER (verdict = 'new')
            FROM judged
            """  # noqa: S608 - names are quoted, and come from the code
        ).fetchall()
        return NewRows(new, known, repeated, corrections, _moment(first), _moment(last))

    def note_conflicts(self, violations: Violations) -> None:
        """Note rows with the key and time of another row of the file, but other values."""
        keys = ", ".join(_quoted(key) for key in self._dataset.keys)
        # Rows without a key or time have a fault of their own.
        complete = " AND ".join(
            f"{_quoted(name)} IS NOT NULL" for name in (*self._dataset.keys, self._dataset.timestamp_field)
        )
        conflicts = f"FROM judged WHERE verdict = 'conflict' AND {complete}"
        ((count,),) = self._connection.execute(f"SELECT count(*) {conflicts}").fetchall()
        rows = self._connection.execute(
            f"SELECT {ROW_COLUMN}, previous_row, {keys} {conflicts} ORDER BY {ROW_COLUMN} LIMIT {ROWS_SHOWN}"
        ).fetchall()
        if count:
            rule = "has the same key and event time in another row, with other values: keep one of them"
            found = [(row, _Twin(key, other)) for row, other, *key in rows]
            violations.add(", ".join(self._dataset.keys), rule, found, count)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the new rows by key and event time, in the order of the dataset's columns."""
        names = ", ".join(_quoted(name) for name in self._dataset.arrow_schema().names)
        order = ", ".join(_quoted(name) for name in (*self._dataset.keys, self._dataset.timestamp_field))
        relation = self._connection.sql(
            f"SELECT {names} FROM judged WHERE verdict = 'new' ORDER BY {order}"  # noqa: S608
        )
        yield from relation.to_arrow_reader(_BATCH_ROWS)


@contextmanager
def compare(
    normalized: Path, history: History, *, ingested_at: datetime, folder: Path, memory_limit: str
) -> Iterator[Comparison]:
    """
    Judge every row of a file against the file itself and the history.

    :param normalized: what :func:`feature_ops.datasets.normalize.normalize` wrote.
    :param ingested_at: when new rows count as ingested. A row that corrects one of the same key
        and time counts as ingested after it, whatever the clocks said.
    :param folder: where DuckDB may spill.
    :param memory_limit: what DuckDB may use, such as ``512MB``.
    :raises BadInputError: that is too little.
    """
    import duckdb

    try:
        with _compared(normalized, history, ingested_at, folder, memory_limit) as comparison:
            yield comparison
    except duckdb.OutOfMemoryException:
        raise BadInputError(
            f"its rows cannot be compared with the history in {memory_limit} of memory: raise "
            "FEATURE_OPS_MEMORY_LIMIT, or send fewer long texts"
        ) from None


@contextmanager
def _compared(
    normalized: Path, history: History, ingested_at: datetime, folder: Path, memory_limit: str
) -> Iterator[Comparison]:
    import duckdb

    options = {
        "memory_limit": memory_limit,
        "temp_directory": str(folder / "duckdb"),
        # Each thread pins blocks of its own: one needs the least memory, and never more than there is.
        "threads": 1,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    # In a file and not in memory: tables that are written out compressed need less of it.
    with duckdb.connect(str(folder / "judged.duckdb"), config=options) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would write into the task's log
        connection.execute(
            f"CREATE VIEW fresh AS SELECT * FROM read_parquet({_literal(str(normalized))})"  # noqa: S608
        )
        _register_history(connection, history)
        connection.execute(_judge(history.dataset), {"ingested_at": _microseconds(ingested_at)})
        yield Comparison(connection, history.dataset)


def _register_history(connection: duckdb.DuckDBPyConnection, history: History) -> None:
    if not history.paths:
        import pyarrow as pa

        nothing = history.dataset.arrow_schema().empty_table()
        times = (history.dataset.timestamp_field, history.dataset.created_timestamp_column)
        for name in times:
            place = nothing.schema.get_field_index(name)
            nothing = nothing.set_column(place, name, nothing.column(name).cast(pa.int64()))
        connection.register("history", nothing)
        return
    first_key = _quoted(history.dataset.keys[0])
    sought = connection.sql(
        f"SELECT DISTINCT {first_key} FROM fresh LIMIT {_KEYS_SOUGHT + 1}"  # noqa: S608
    ).to_arrow_table()
    few = sought.num_rows <= _KEYS_SOUGHT
    keys = sought.column(0).combine_chunks() if few else None
    connection.register("history", history.scanner(keys))


def _judge(dataset: Dataset) -> str:
    keys = ", ".join(_quoted(key) for key in dataset.keys)
    time, created = _quoted(dataset.timestamp_field), _quoted(dataset.created_timestamp_column)
    columns = ", ".join(_quoted(column.name) for column in dataset.columns)
    same = " AND ".join(
        f"{_quoted(name)} IS NOT DISTINCT FROM lag({_quoted(name)}) OVER line"
        for name in dataset.value_columns
    )
    # What is known comes before what is new at the same time, the newest correction last.
    return f"""
        CREATE TABLE judged AS
        WITH versions AS (
            SELECT {columns}, {time}, {created}, NULL::BIGINT AS {ROW_COLUMN}
            FROM history SEMI JOIN fresh USING ({keys})
            UNION ALL
            SELECT {columns}, {time}, NULL::BIGINT, {ROW_COLUMN} FROM fresh
        ), compared AS (
            SELECT *,
                   {same or "TRUE"} AS same,
                   lag({time}) OVER line AS previous_time,
                   lag({created}) OVER line AS previous_created,
                   lag({ROW_COLUMN}) OVER line AS previous_row
            FROM versions
            WINDOW line AS (
                PARTITION BY {keys} ORDER BY {time}, {ROW_COLUMN} NULLS FIRST, {created}
            )
        )
        SELECT {columns}, {time}, {ROW_COLUMN}, previous_row,
               CASE WHEN previous_time IS NULL THEN 'new'
                    WHEN previous_row IS NOT NULL AND previous_time = {time}
                        THEN CASE WHEN same THEN 'repeated' ELSE 'conflict' END
                    WHEN same THEN 'known'
                    ELSE 'new'
               END AS verdict,
               previous_row IS NULL AND coalesce(previous_time = {time}, FALSE) AS corrects,
               CASE WHEN corrects THEN greatest($ingested_at, previous_created + 1) ELSE $ingested_at END
                   AS {created}
        FROM compared
        WHERE {ROW_COLUMN} IS NOT NULL
    """  # noqa: S608 - names are quoted, and come from the code


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)

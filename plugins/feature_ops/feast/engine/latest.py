"""
The latest row of every key, in memory that hardly grows with the rows.

Two passes over the files. The first reads keys and times only, and has DuckDB find which rows are the
latest; it spills to disk what does not fit. The second streams whole rows and lets those pass, so no value
goes through any other representation than Arrow's. What is kept in between is one byte per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as pads

from feature_ops.feast.engine.bounded_duckdb import Limits, bounded_duckdb
from feature_ops.feast.engine.numbered import POSITION, NumberedRows, picked_rows
from feature_ops.feast.engine.rows import CREATED_TIME, EVENT_TIME
from feature_ops.feast.engine.source_files import bounded_scanner
from feature_ops.feast.engine.values import is_bytes, is_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMITS = np.iinfo(np.int64)
# Of a SHA-256 in DuckDB, which gives it as text.
_DIGEST_BYTES = 64
# So many keys are sought by name among the rivals; more are cheaper found by reading all.
_KEYS_SOUGHT = 10_000
# Files that are read at once: of keys and times many fit into memory, of whole rows few.
_NARROW_FILES_AT_ONCE, _FILES_AT_ONCE = 16, 4


@dataclass(frozen=True)
class LatestRows:
    """
    The rows of a dataset that are to be online.

    :param keys: source column by the join key's name; none for rows that all have one key.
    :param features: source column by the feature's name.
    :param event_time: source column of the event time, a timestamp.
    :param created_time: source column that orders rows of one event time; a null is the earliest.
    :param start: first event time that counts.
    :param end: last event time that counts.
    :param rivals: rows that count for which is the latest, but are not to be online by this; a row of the
        dataset that is equal to one of theirs counts as later.
    :param skip: so many rows of the window, from the first, are not to be online by this.
    """

    dataset: pads.Dataset
    keys: Mapping[str, str]
    features: Mapping[str, str]
    event_time: str
    created_time: str | None
    start: datetime
    end: datetime
    limits: Limits = field(default_factory=Limits)
    rivals: pads.Dataset | None = None
    skip: int = 0

    def find(self) -> Found:
        """Find which rows are the latest of their keys; among equals the last one in the files' order."""
        reader = self._numbered_rows()
        keys = [self._short_key(f"k{place}", column) for place, column in enumerate(self.keys.values())]
        created = f"coalesce(created, {_LIMITS.min})" if self.created_time else "0"
        # Columns are named by place and position: nothing of the user's gets into the statement.
        query = (
            f"SELECT max(struct_pack(t := event, c := {created}, p := {POSITION})).p AS {POSITION} "  # noqa: S608
            "FROM rows" + (f" GROUP BY {', '.join(keys)}" if keys else "")
        )
        latest = np.zeros(0, np.bool_)
        with bounded_duckdb(self.limits) as connection:
            connection.register("rows", reader.stream())
            for batch in connection.sql(query).to_arrow_reader(1 << 16):
                # The first result comes when all rows were read.
                latest = latest if len(latest) else np.zeros(reader.rows, np.bool_)
                positions = batch.column(0).to_numpy(zero_copy_only=False)
                if reader.rows:
                    latest[positions[positions >= self.skip]] = True
        return Found(latest, int(latest.sum()))

    def batches(self, found: Found) -> Iterator[tuple[pa.RecordBatch, int]]:
        """
        Yield the latest rows, their columns named as the row encoder has it, and how far they reach.

        That is a number of rows of the window, from the first, of which the latest have been yielded.

        :raises RuntimeError: the files are not those any more in which the rows were found.
        """
        columns = {name: pads.field(column) for name, column in {**self.features, **self.keys}.items()}
        columns[EVENT_TIME] = pads.field(self.event_time)
        if self.created_time:
            columns[CREATED_TIME] = pads.field(self.created_time)
        scanner = self._scanner(self.dataset, columns, self.window(), _FILES_AT_ONCE)
        for rows, before, after in picked_rows(scanner, found.latest):
            size = self.limits.rows_per_batch(rows)
            for start in range(0, rows.num_rows, size):
                yield rows.slice(start, size), after if start + size >= rows.num_rows else before

    def _numbered_rows(self) -> NumberedRows:
        rows, rivals = self._keys_and_times(self.dataset), self.rivals
        if rivals is None:
            return NumberedRows(rows)
        return _WithRivals(rows, lambda few: self._keys_and_times(rivals, few if self.keys else None))

    def _keys_and_times(self, dataset: pads.Dataset, sought: pa.Array | None = None) -> pads.Scanner:
        columns = {f"k{place}": self._comparable(column) for place, column in enumerate(self.keys.values())}
        # As numbers: DuckDB needs an extension for some of what can be done with zoned times.
        columns["event"] = pads.field(self.event_time).cast(pa.int64())
        if self.created_time:
            columns["created"] = pads.field(self.created_time).cast(pa.int64())
        rows = self.window()
        if sought is not None:
            rows = rows & columns["k0"].isin(sought)
        return self._scanner(dataset, columns, rows, _NARROW_FILES_AT_ONCE)

    def _comparable(self, column: str) -> pads.Expression:
        kind = self.dataset.schema.field(column).type
        if pa.types.is_timestamp(kind):
            return pads.field(column).cast(pa.int64())
        if pa.types.is_dictionary(kind):
            return pads.field(column).cast(kind.value_type)
        return pads.field(column)

    def _short_key(self, name: str, column: str) -> str:
        """Return what DuckDB is to keep of a key: of a long one its SHA-256, which no short one is."""
        kind = self.dataset.schema.field(column).type
        if is_text(kind):
            length, digest = "strlen", f"sha256({name})"
        elif is_bytes(kind):
            length, digest = "octet_length", f"encode(sha256({name}))"
        else:
            return name
        return f"CASE WHEN {length}({name}) < {_DIGEST_BYTES} THEN {name} ELSE {digest} END"

    def _scanner(
        self,
        dataset: pads.Dataset,
        columns: Mapping[str, pads.Expression],
        rows: pads.Expression,
        files_at_once: int,
    ) -> pads.Scanner:
        return bounded_scanner(
            dataset, columns, rows, batch_rows=self.limits.batch_rows, files_at_once=files_at_once
        )

    def window(self) -> pads.Expression:
        """Both ends are in it, as in Feast; in the column's own type, so that row groups can be left out."""
        kind = self.dataset.schema.field(self.event_time).type
        first = pa.scalar(_in_unit(self.start, kind.unit, up=True)).cast(kind)
        last = pa.scalar(_in_unit(self.end, kind.unit, up=False)).cast(kind)
        event = pads.field(self.event_time)
        return (event >= first) & (event <= last)


@dataclass(frozen=True)
class Found:
    """
    Which rows are the latest.

    :param latest: one entry per row of the window, in the order in which the files are read.
    :param count: how many there are.
    """

    latest: npt.NDArray[np.bool_]
    count: int


class _WithRivals(NumberedRows):
    """Numbers rows, and has those of rivals after them, whose number is -1."""

    def __init__(self, scanner: pads.Scanner, rivals: Callable[[pa.Array | None], pads.Scanner]) -> None:
        super().__init__(scanner)
        self._rivals = rivals

    def _numbered(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        keys: list[pa.Array] = []
        for batch in super()._numbered(schema):
            if self.rows <= _KEYS_SOUGHT:
                keys.append(batch.column(0))
            yield batch
        few = pa.concat_arrays(keys).unique() if keys and self.rows <= _KEYS_SOUGHT else None
        for batch in self._rivals(few).to_batches():
            numbers = np.full(batch.num_rows, -1)
            yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(numbers)], schema=schema)


def _in_unit(moment: datetime, unit: str, *, up: bool) -> int:
    """Return a time in a timestamp's unit; what 64 bits can't hold becomes the first or last they can."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    microseconds = (aware - _EPOCH) // timedelta(microseconds=1)
    if unit == "ns":
        # The end is a whole microsecond, as times are stored.
        return int(min(max(microseconds * 1_000, _LIMITS.min), _LIMITS.max))
    scale = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
    return -(-microseconds // scale) if up else microseconds // scale

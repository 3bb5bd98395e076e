"""
The row of a history that was the latest at each label's time, in memory that does not grow with the history.

Two passes over the files. The first reads keys and times only, and has DuckDB find a row for each label; it
spills to disk what does not fit. The second streams the features' columns and keeps the rows that were
found, so no value goes through any other representation than Arrow's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from feature_ops.feast.engine.bounded_duckdb import Limits, bounded_duckdb
from feature_ops.feast.engine.numbered import POSITION, NumberedRows, picked_rows
from feature_ops.feast.engine.source_files import bounded_scanner
from feature_ops.feast.engine.wire import Ints
from feature_ops.feast.offline.label_keys import comparable_keys, comparable_type
from feature_ops.feast.offline.moments import Moments

_NONE = -1
_EARLIEST = np.iinfo(np.int64).min
# Labels whose values are copied at once: Arrow's plain strings hold 2 GB.
_LABELS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class History:
    """
    The rows behind a feature view.

    :param keys: source columns of the join keys; none for rows that all have one key.
    :param features: source column by the feature's name in the answer.
    :param event_time: source column of the event time, a timestamp; a row without one never counts.
    :param created_time: source column that orders rows of one event time; a null is the earliest.
    :param ttl: how long after its event time a row counts; None for ever.
    :param once_created: count a row only from its created time on, and never if it has none.
    """

    dataset: pads.Dataset
    keys: Sequence[str]
    features: Mapping[str, str]
    event_time: str
    created_time: str | None = None
    ttl: timedelta | None = None
    once_created: bool = False

    def kind(self, column: str) -> pa.DataType:
        """Return the Arrow type of a source column."""
        return self.dataset.schema.field(column).type


@dataclass(frozen=True)
class PointInTimeJoin:
    """
    Labels and the history that is looked up for them.

    :param keys: the labels' values of the history's join keys, in their order.
    """

    history: History
    keys: Sequence[pa.Array]
    moments: Moments
    limits: Limits = field(default_factory=Limits)

    def features(self) -> pa.Table:
        """
        Return the features at each label's time, in the labels' order; null where none was known.

        Among rows of a key with one event time the last created counts, then the last in the files' order.

        :raises RuntimeError: the files changed while they were read.
        """
        window = self._window()
        if window is None:
            return self._values(np.full(len(self.moments.counts), _NONE), 0, pads.scalar(False))
        positions, rows = self._positions(window)
        return self._values(positions, rows, window)

    @property
    def _unit(self) -> str:
        return str(self.history.kind(self.history.event_time).unit)

    def _labels(self) -> pa.Table:
        """Return the labels for which a row may be found: with their places, keys, and times."""
        columns = {
            f"k{place}": comparable_keys(column, self.history.kind(name))
            for place, (column, name) in enumerate(zip(self.keys, self.history.keys, strict=True))
        }
        whole = pa.table(
            {**columns, "moment": self.moments.last(self._unit), "label": np.arange(len(self.moments.counts))}
        )
        complete = pa.array(self.moments.known)
        for column in columns.values():
            complete = pc.and_(complete, column.is_valid())
        return whole.filter(complete)

    def _window(self) -> pads.Expression | None:
        """Return which rows may be found, in the column's own type, so that row groups can be left out."""
        known = self.moments.known
        if not known.any():
            return None
        event = pads.field(self.history.event_time)
        kind = self.history.kind(self.history.event_time)
        window = event <= pa.scalar(int(self.moments.last(self._unit)[known].max())).cast(kind)
        if self.history.ttl:
            first = self.moments.first(self._unit, self.history.ttl)[known].min()
            window &= event >= pa.scalar(int(first)).cast(kind)
        return window

    def _positions(self, window: pads.Expression) -> tuple[Ints, int]:
        """Return which row of the window each label gets, and how many rows it has."""
        rows = NumberedRows(self._scanner(self._keys_and_times(), window))
        positions = np.full(len(self.moments.counts), _NONE)
        events = np.zeros(len(positions), np.int64)
        with bounded_duckdb(self.limits) as connection:
            connection.register("labels", self._labels())
            connection.register("rows", rows.stream())
            for statement in self._preparations():
                connection.execute(statement)
            for batch in connection.sql(self._query()).to_arrow_reader(1 << 16):
                label, position, event = (column.to_numpy() for column in batch.columns)
                positions[label], events[label] = position, event
        if self.history.ttl:
            positions[events < self.moments.first(self._unit, self.history.ttl)] = _NONE
        return positions, rows.rows

    # Columns are named by place and position: nothing of the user's gets into a statement.

    @property
    def _names(self) -> list[str]:
        return [f"k{place}" for place in range(len(self.keys))]

    def _preparations(self) -> list[str]:
        """Return what makes the tables ``known``, with one row for a key and a moment, and ``keys``."""
        keys = "".join(f"{name}, " for name in self._names)
        created = f"coalesce(created, {_EARLIEST})" if self.history.created_time else "0"
        row = f"max(struct_pack(t := event, c := {created}, p := {POSITION}))"
        known = f"SELECT {keys} event AS since, {row} AS row FROM rows GROUP BY ALL"  # noqa: S608
        if self.history.once_created:
            partition = f"PARTITION BY {', '.join(self._names)}" if self.keys else ""
            # Of the rows that are there at a moment, the one created last may not be the latest event.
            known = (
                f"SELECT {keys} since, max(row) OVER ({partition} ORDER BY since) AS row FROM ("  # noqa: S608
                f"SELECT {keys} greatest(event, created) AS since, {row} AS row FROM rows "
                "WHERE created IS NOT NULL GROUP BY ALL)"
            )
        made = [f"CREATE TEMP TABLE known AS {known}"]
        if self.keys:
            made.append(f"CREATE TEMP TABLE keys AS SELECT DISTINCT {', '.join(self._names)} FROM known")  # noqa: S608
        return made

    def _query(self) -> str:
        """Return what gives each label its row: key by key, the last one at or before its moment."""
        # The number of a key is sorted and compared in less time than the key.
        number, numbered = (
            ("keys.rowid", f"JOIN keys USING ({', '.join(self._names)})") if self.keys else ("0", "")
        )
        return (
            f"WITH k AS (SELECT {number} AS number, since, row FROM known {numbered}), "  # noqa: S608
            f"l AS (SELECT {number} AS number, moment, label FROM labels {numbered}) "
            "SELECT label, k.row.p, k.row.t FROM l ASOF JOIN k ON l.number = k.number AND l.moment >= k.since"
        )

    def _values(self, positions: Ints, rows: int, window: pads.Expression) -> pa.Table:
        """Read the rows that were found, and give each label its own."""
        found = positions != _NONE
        wanted = np.zeros(rows, np.bool_)
        wanted[positions[found]] = True
        columns = {name: pads.field(column) for name, column in self.history.features.items()}
        scanner = self._scanner(columns, window)
        batches = (batch for batch, _, _ in picked_rows(scanner, wanted))
        table = pa.Table.from_batches(batches, scanner.projected_schema).combine_chunks()
        places = np.searchsorted(np.flatnonzero(wanted), positions)
        indices = pa.array(places, mask=~found)
        parts = [
            table.take(indices.slice(start, _LABELS_AT_ONCE))
            for start in range(0, len(indices), _LABELS_AT_ONCE)
        ]
        return pa.concat_tables(parts) if parts else table

    def _keys_and_times(self) -> dict[str, pads.Expression]:
        columns = {}
        for place, name in enumerate(self.history.keys):
            kind, key = self.history.kind(name), pads.field(name)
            columns[f"k{place}"] = key if comparable_type(kind) == kind else key.cast(comparable_type(kind))
        # As numbers: DuckDB needs an extension for some of what can be done with zoned times.
        columns["event"] = pads.field(self.history.event_time).cast(pa.int64())
        if self.history.created_time:
            columns["created"] = pads.field(self.history.created_time).cast(pa.int64())
        return columns

    def _scanner(self, columns: Mapping[str, pads.Expression], window: pads.Expression) -> pads.Scanner:
        return bounded_scanner(
            self.history.dataset, columns, window, batch_rows=self.limits.batch_rows, files_at_once=8
        )

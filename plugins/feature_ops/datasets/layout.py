"""How the columns of a file map onto those of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_ops.datasets.casting import is_castable
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.violations import Violations, shown_value

if TYPE_CHECKING:
    import pyarrow as pa

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Layout:
    """
    Which column of a file is read for which column of the dataset.

    :param columns: the file's column by the dataset's.
    :param absent: nullable columns that the file lacks; they become null.
    :param timestamp: the file's column of the event time; None if rows are stamped.
    :param unexpected: the file's columns that the dataset does not know; they stay in the source file.
    """

    columns: Mapping[str, str]
    absent: tuple[str, ...]
    timestamp: str | None
    unexpected: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """The file's columns that are read."""
        return [*self.columns.values(), *([self.timestamp] if self.timestamp else [])]


def plan_layout(schema: pa.Schema, dataset: Dataset, timestamp_column: str, problems: Violations) -> Layout:
    """
    Map a file's columns, whatever the case of their names.

    :param timestamp_column: the column of the event time if the user named one.
    :param problems: takes what is wrong with the columns.
    """
    names = [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]
    for name, count in Counter(name.lower() for name in names).items():
        if count > 1:
            problems.add(shown_name(name), f"stands in the file {count} times (upper and lower case are one)")
    by_name = {name.lower(): name for name in names}
    timestamp = _timestamp(by_name, dataset, timestamp_column, problems)
    columns = {c.name: by_name[c.name.lower()] for c in dataset.columns if c.name.lower() in by_name}
    absent = [column for column in dataset.columns if column.name not in columns]
    for column in absent:
        if not column.nullable:
            problems.add(column.name, "is missing in the file")
    layout = Layout(
        columns=columns,
        absent=tuple(column.name for column in absent),
        timestamp=timestamp,
        unexpected=tuple(sorted(set(names) - set(columns.values()) - {timestamp})),
    )
    if not problems:
        _check_types(schema, dataset, layout, problems)
    return layout


def shown_name(name: str) -> str:
    """Return a column's name as it stands in messages: on one line and not longer than that."""
    return shown_value(name)[1:-1] if len(name) < 80 else shown_value(name)


def _timestamp(by_name: Mapping[str, str], dataset: Dataset, wanted: str, problems: Violations) -> str | None:
    if wanted:
        if wanted.lower() not in by_name:
            columns = ", ".join(shown_name(name) for name in list(by_name)[:30])
            problems.add(
                shown_name(wanted),
                f"is not in the file, which has {columns}: correct event_timestamp_column in the form",
            )
        return by_name.get(wanted.lower())
    candidates = (dataset.timestamp_field, *dataset.timestamp_aliases)
    return next((by_name[name.lower()] for name in candidates if name.lower() in by_name), None)


def _check_types(schema: pa.Schema, dataset: Dataset, layout: Layout, problems: Violations) -> None:
    sources = {**layout.columns, dataset.timestamp_field: layout.timestamp}
    for column in dataset.read_columns:
        in_file = sources.get(column.name)
        if in_file is None:
            continue
        found = schema.field(in_file).type
        if not is_castable(found, column):
            rule = f"has type {shown_name(str(found))}, but {shown_name(column.described)} is needed"
            problems.add(shown_name(in_file), rule)

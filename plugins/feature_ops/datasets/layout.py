"""How the columns of a file map onto those of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_ops.datasets.casting import is_castable
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.names import nearest_name, shown_name, visible_name
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
    :param stamped: whether rows get the run's time as their event time.
    :param unexpected: the file's columns that the dataset does not know; they stay in the source file.
    :param unreadable: columns of the file that are mapped but can't be read: the type is wrong, or there are
        several of the name.
    """

    columns: Mapping[str, str]
    absent: tuple[str, ...]
    timestamp: str | None
    stamped: bool
    unexpected: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def source(self, name: str, dataset: Dataset) -> str | None:
        """Return the file's column for a column of the dataset; None if it can't be read."""
        found = self.timestamp if name == dataset.timestamp_field else self.columns.get(name)
        return None if found in self.unreadable else found

    @property
    def read(self) -> list[str]:
        """The file's columns that are read, each once."""
        mapped = [*self.columns.values(), *([self.timestamp] if self.timestamp else [])]
        return [name for name in dict.fromkeys(mapped) if name not in self.unreadable]


class _Names:
    """
    The names of a file's columns, in any case.

    :param ambiguous: names, in lower case, of which there are several.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.all = [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]
        counts = Counter(name.lower() for name in self.all)
        self.ambiguous = {name: count for name, count in counts.items() if count > 1}
        self._by_name = {name.lower(): name for name in self.all}

    def find(self, name: str) -> str | None:
        return self._by_name.get(name.lower())


def plan_layout(schema: pa.Schema, dataset: Dataset, timestamp_column: str, problems: Violations) -> Layout:
    """
    Map a file's columns, whatever the case of their names.

    :param timestamp_column: the column of the event time if the user named one.
    :param problems: takes what is wrong with the columns.
    """
    names = _Names(schema)
    before = len(problems)
    timestamp = _timestamp(names, dataset, timestamp_column, problems)
    stamped = timestamp is None and len(problems) == before
    found = {column.name: names.find(column.name) for column in dataset.columns}
    columns = {name: in_file for name, in_file in found.items() if in_file is not None}
    unexpected = sorted(set(names.all) - set(columns.values()) - {timestamp})
    absent = [column for column in dataset.columns if column.name not in columns]
    for column in absent:
        _note_absent(column.name, column.nullable, unexpected, problems)
    mapped = {**columns, **({dataset.timestamp_field: timestamp} if timestamp else {})}
    ambiguous = [in_file for in_file in mapped.values() if in_file.lower() in names.ambiguous]
    for in_file in ambiguous:
        count = names.ambiguous[in_file.lower()]
        problems.add(
            shown_name(in_file.lower()),
            f"stands in the file {count} times (upper and lower case are one): rename or drop all but one",
        )
    wrong = _wrong_types(schema, dataset, mapped, ambiguous, problems)
    return Layout(
        columns=columns,
        absent=tuple(column.name for column in absent),
        timestamp=timestamp,
        stamped=stamped,
        unexpected=tuple(unexpected),
        unreadable=(*ambiguous, *wrong),
    )


def _note_absent(name: str, nullable: bool, unexpected: list[str], problems: Violations) -> None:
    """Report a missing column; one that may be null only if the file has it under nearly the same name."""
    near = nearest_name(name, unexpected)
    if nullable and (near is None or visible_name(near) != visible_name(name)):
        return
    remedy = f"did you mean its column {shown_value(near)}? Rename it to {name!r}" if near else ""
    problems.add(name, "is missing in the file", remedy=remedy)


def _timestamp(names: _Names, dataset: Dataset, wanted: str, problems: Violations) -> str | None:
    if wanted:
        found = names.find(wanted)
        if found is None:
            near = nearest_name(wanted, names.all)
            meant = f"; did you mean {shown_value(near)}?" if near else ""
            columns = ", ".join(shown_name(name) for name in names.all[:30])
            problems.add(
                shown_name(wanted),
                f"is not in the file, which has {columns}{meant}: correct event_timestamp_column in the form",
            )
        return found
    candidates = (dataset.timestamp_field, *dataset.timestamp_aliases)
    for candidate in candidates:
        if found := names.find(candidate):
            return found
    # Rows of a file without event times are stamped with the run's time, which must not happen by mistake.
    for candidate in candidates:
        _note_absent(candidate, True, names.all, problems)
    return None


def _wrong_types(
    schema: pa.Schema,
    dataset: Dataset,
    mapped: Mapping[str, str],
    ambiguous: list[str],
    problems: Violations,
) -> list[str]:
    """Report columns whose type can't become the declared one; returns their names in the file."""
    wrong = []
    for column in dataset.read_columns:
        in_file = mapped.get(column.name)
        if in_file is None or in_file in ambiguous:
            continue
        found = schema.field(in_file).type
        if not is_castable(found, column):
            rule = f"has type {shown_name(str(found))}, but {shown_name(column.described)} is needed"
            problems.add(shown_name(in_file), rule, remedy="cast it where the file is written")
            wrong.append(in_file)
    return wrong

"""What is wrong with a file: which rule, which column, and the first rows that break it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

ROWS_SHOWN = 5
_VALUE_LENGTH = 80


def shown_value(value: object) -> str:
    """Return a value as it stands in messages: quoted, on one line, and never longer than a line."""
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}… ({len(text):,} characters)"


@dataclass
class Violation:
    """
    A rule that a column breaks.

    :param column: its name in the dataset; empty if the rule is about whole rows or the file.
    :param rule: what is wrong, and what would be right.
    :param rows: the first offending rows, as number (the first row is 1) and value.
    :param count: how many rows are known to break it; zero if the rule is about the whole column.
    :param complete: whether every row was counted.
    """

    column: str
    rule: str
    rows: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0
    complete: bool = True

    def __str__(self) -> str:
        where = f"column {self.column!r} " if self.column else ""
        if not self.rows:
            return f"{where}{self.rule}"
        rows = ", ".join(f"row {row:,}: {value}" for row, value in self.rows)
        at_least = "" if self.complete else "at least "
        return f"{where}{self.rule} in {at_least}{self.count:,} row{'' if self.count == 1 else 's'} ({rows})"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON for the report."""
        rows = [{"row": row, "value": value} for row, value in self.rows]
        return {
            "column": self.column,
            "rule": self.rule,
            "count": self.count,
            "complete": self.complete,
            "rows": rows,
        }


class Violations:
    """Collects what is wrong, in bounded memory however bad the file is."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Violation] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self._found.values())

    def add(
        self,
        column: str,
        rule: str,
        rows: Iterable[tuple[int, Any]] = (),
        count: int = 0,
        complete: bool = True,
    ) -> None:
        """Note offending rows of a rule; those beyond the first few are only counted."""
        violation = self._found.setdefault((column, rule), Violation(column, rule))
        violation.count += count
        violation.complete &= complete
        for row, value in rows:
            if len(violation.rows) >= ROWS_SHOWN:
                break
            violation.rows.append((row, shown_value(value)))

    def wanted(self, column: str, rule: str) -> int:
        """How many more offending rows of a rule are worth looking for."""
        found = self._found.get((column, rule))
        return ROWS_SHOWN - (len(found.rows) if found else 0)

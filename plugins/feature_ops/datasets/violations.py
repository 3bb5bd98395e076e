"""What is wrong with a file: which rule, which column, and the first rows that break it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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
    :param remedy: what to do about it; empty if the rule already says so.
    """

    column: str
    rule: str
    rows: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0
    complete: bool = True
    remedy: str = ""

    def __str__(self) -> str:
        where = f"column {self.column!r} " if self.column else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        if not self.rows:
            return f"{where}{self.rule}{remedy}"
        rows = ", ".join(f"row {row:,}: {value}" for row, value in self.rows)
        count = f"{'' if self.complete else 'at least '}{self.count:,} row{'' if self.count == 1 else 's'}"
        return f"{where}{self.rule} in {count} ({rows}){remedy}"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON for the report."""
        rows = [{"row": row, "value": value} for row, value in self.rows]
        facts = {
            "column": self.column,
            "rule": self.rule,
            "count": self.count,
            "complete": self.complete,
            "rows": rows,
        }
        return {**facts, "remedy": self.remedy} if self.remedy else facts

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return what :meth:`facts` was made of."""
        rows = [(int(row["row"]), str(row["value"])) for row in facts["rows"]]
        return cls(
            str(facts["column"]),
            str(facts["rule"]),
            rows,
            int(facts["count"]),
            bool(facts["complete"]),
            str(facts.get("remedy", "")),
        )


class Violations:
    """Collects what is wrong, in bounded memory however bad the file is."""

    def __init__(self, found: Iterable[Violation] = ()) -> None:
        self._found = {(violation.column, violation.rule): violation for violation in found}

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self._found.values())

    def add(
        self,
        column: str,
        rule: str,
        rows: Iterable[tuple[int, Any]] = (),
        count: int = 0,
        complete: bool = True,
        remedy: str = "",
    ) -> None:
        """Record offending rows of a rule; those beyond the first few are only counted."""
        violation = self._found.setdefault((column, rule), Violation(column, rule, remedy=remedy))
        violation.count += count
        violation.complete &= complete
        for row, value in rows:
            if len(violation.rows) >= ROWS_SHOWN:
                break
            violation.rows.append((row, shown_value(value)))

    def wanted(self, column: str, rule: str) -> int:
        """Return how many more offending rows of a rule are worth looking for."""
        found = self._found.get((column, rule))
        return ROWS_SHOWN - (len(found.rows) if found else 0)

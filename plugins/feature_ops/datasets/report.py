"""The validation report: JSON for machines, a table in the log for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from feature_ops.datasets.new_rows import NewRows
from feature_ops.datasets.normalize import ColumnFacts, Normalized
from feature_ops.datasets.violations import Violations, shown_value

REPORT_FILE = "report.json"


@dataclass(frozen=True)
class Report:
    """
    What was found in a source file.

    :param source: where it came from, without secrets.
    :param error: why the file could not be read at all, else None.
    :param normalized: columns and rows, if it could be.
    :param found: what it brings, if it was accepted.
    """

    dataset: str
    run_id: str
    source: str
    sha256: str
    size: int
    violations: Violations
    error: str | None = None
    normalized: Normalized | None = None
    found: NewRows | None = None

    def json(self) -> bytes:
        """Return the report as it is stored; the same at every retry."""
        facts: dict[str, Any] = {
            "dataset": self.dataset,
            "run_id": self.run_id,
            "source": self.source,
            "sha256": self.sha256,
            "bytes": self.size,
            "accepted": not self.violations and self.error is None,
            "error": self.error,
            "violations": [violation.facts() for violation in self.violations],
        }
        if self.normalized is not None:
            layout = self.normalized.layout
            facts |= {
                "rows": self.normalized.rows,
                "event_time_from": "the run's time" if layout.stamped else layout.timestamp,
                "absent_columns": list(layout.absent),
                "unexpected_columns": list(layout.unexpected),
                "columns": [_column(column) for column in self.normalized.columns],
            }
        if self.found is not None:
            facts |= {
                "new": self.found.new,
                "known": self.found.known,
                "repeated": self.found.repeated,
                "corrections": self.found.corrections,
            }
        return json.dumps(facts, indent=2, ensure_ascii=False).encode()

    def lines(self) -> list[str]:
        """Return the report for the log."""
        lines = [f"Report on {self.source} ({self.size:,} bytes, sha256 {self.sha256[:20]}…)"]
        if self.normalized is not None:
            lines += _table(self.normalized.columns)
            lines += _remarks(self.normalized)
        if self.found is not None and self.found.corrections:
            lines.append(f"{self.found.corrections:,} rows correct a row of the same key and event time")
        return [*lines, *(f"REFUSED: {violation}" for violation in self.violations)]


def _column(facts: ColumnFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "type": facts.type,
        "in_file": facts.source,
        "type_in_file": facts.source_type,
        "nulls": facts.nulls,
        "min": facts.smallest,
        "max": facts.largest,
    }


def _table(columns: list[ColumnFacts]) -> list[str]:
    head = ("column", "in the file", "type in the file", "nulls", "min", "max")
    body = [
        (
            facts.name,
            facts.source or "-",
            facts.source_type or "-",
            f"{facts.nulls:,}",
            _cell(facts.smallest),
            _cell(facts.largest),
        )
        for facts in columns
    ]
    widths = [max(len(row[place]) for row in (head, *body)) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *body)
    ]


def _cell(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 32 else f"{text[:31]}…"


def _remarks(normalized: Normalized) -> list[str]:
    layout, remarks = normalized.layout, []
    if layout.stamped:
        remarks.append("The file has no event time: its rows are stamped with the run's time")
    if layout.absent:
        remarks.append(f"Columns that the file lacks, null from here on: {', '.join(layout.absent)}")
    if layout.unexpected:
        shown = ", ".join(shown_value(name) for name in layout.unexpected[:20])
        more = f" and {len(layout.unexpected) - 20} more" if len(layout.unexpected) > 20 else ""
        remarks.append(f"Unexpected columns, left in the source file: {shown}{more}")
    return remarks

"""What the form and the templates give to the operators."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feature_ops.feast.ledger import FileSpan
from feature_ops.feast.materialize import Materialization, summary
from feature_ops.feast.operators import _is_true

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (True, True),
        (False, False),
        ("True", True),
        ("true", True),
        ("False", False),
        ("", False),
        ("None", False),
    ],
)
def test_full_refresh_may_be_a_boolean_or_a_text(value: bool | str, meaning: bool) -> None:
    assert _is_true(value) is meaning


@pytest.mark.parametrize(
    ("rows", "start", "line"),
    [
        (
            1,
            NOON.replace(hour=10),
            "1 row materialized into a, b, window 2026-11-24 10:00:00 → 12:00:00 UTC, 0.9 s",
        ),
        (
            14245,
            NOON.replace(year=2023, month=10, day=18, hour=0),
            "14,245 rows materialized into a, b, window 2023-10-18 00:00:00 → 2026-11-24 12:00:00 UTC, "
            "0.9 s (15,620 rows/s)",
        ),
    ],
)
def test_the_summary_is_one_line_for_people(rows: int, start: datetime, line: str) -> None:
    files = (FileSpan("x", 1, NOON, NOON), FileSpan("y", 1, NOON, NOON))
    done = Materialization({"b": files[1:], "a": files}, rows, start, NOON, 0.912, {})
    assert summary(done) == line
    assert done.file_names == ["x", "y"]

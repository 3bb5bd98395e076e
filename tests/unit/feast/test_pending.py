"""What is loaded: all that is missing, over a window that ends now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.ledger import FileSpan
from feature_ops.feast.pending import plan

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def span(name: str, first: int, last: int) -> FileSpan:
    """Return a file with event times in days from now."""
    return FileSpan(name, 2, NOW + timedelta(days=first), NOW + timedelta(days=last))


def test_d5_the_first_load_goes_back_to_the_earliest_row() -> None:
    pending = plan([span("a", -4000, -3000), span("b", -10, 0)], [], NOW)
    assert [file.name for file in pending.files] == ["a", "b"]
    assert pending.start == NOW - timedelta(days=4000)
    assert pending.late == ()


def test_what_is_online_does_not_widen_the_window() -> None:
    pending = plan([span("new", -1, -1)], [span("old", -1000, -2)], NOW)
    assert pending.start == NOW - timedelta(days=1)
    assert pending.late == ()


def test_d4_a_file_with_rows_older_than_what_is_online_is_late_and_loaded() -> None:
    pending = plan([span("late", -50, -50), span("new", -1, 0)], [span("old", -100, -2)], NOW)
    assert [file.name for file in pending.late] == ["late"]
    assert pending.start == NOW - timedelta(days=50)


def test_a_file_whose_time_has_not_come_waits() -> None:
    pending = plan([span("early", -9, 1), span("new", -1, 0)], [], NOW)
    assert [file.name for file in pending.early] == ["early"]
    assert [file.name for file in pending.files] == ["new"]
    assert pending.start == NOW - timedelta(days=1)


def test_a_file_without_rows_needs_no_window() -> None:
    pending = plan([FileSpan("empty", 0, None, None)], [], NOW)
    assert [file.name for file in pending.files] == ["empty"]
    assert pending.start is None


DAYS = st.integers(-5000, 30)
SPANS = st.lists(st.tuples(DAYS, DAYS).map(sorted), max_size=6)


@given(missing=SPANS, online=SPANS)
def test_every_missing_row_that_has_happened_is_in_the_window(
    missing: list[list[int]], online: list[list[int]]
) -> None:
    pending = plan(
        [span(f"missing {i}", *days) for i, days in enumerate(missing)],
        [span(f"online {i}", *days) for i, days in enumerate(online)],
        NOW,
    )
    assert len(pending.files) + len(pending.early) == len(missing)
    for file in pending.files:
        assert pending.start is not None
        assert file.first_event is not None
        assert file.last_event is not None
        assert pending.start <= file.first_event
        assert file.last_event <= NOW

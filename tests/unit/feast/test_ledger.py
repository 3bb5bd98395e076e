"""The ledger remembers which files are online (on SQLite here; on PostgreSQL with the real servers)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_ops.feast.ledger import FileSpan, Ledger

FIRST = datetime(1999, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)
LAST = datetime(2024, 5, 1, tzinfo=UTC)
FILE = FileSpan("a.parquet", 7, FIRST, LAST)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def ledger(database_url: str) -> Ledger:
    return Ledger(database_url)


def test_nothing_is_online_at_first(ledger: Ledger) -> None:
    assert ledger.online("radio", "tracks") == {}


def test_what_is_recorded_is_read_by_any_process_with_its_times_in_utc(
    ledger: Ledger, database_url: str
) -> None:
    before = ledger.now()
    ledger.record("radio", "tracks", [FILE, FileSpan("empty.parquet", 0, None, None)], "run 1")

    online = Ledger(database_url).online("radio", "tracks")

    assert set(online) == {"a.parquet", "empty.parquet"}
    file = online["a.parquet"]
    assert (file.rows, file.first_event, file.last_event, file.run_id) == (7, FIRST, LAST, "run 1")
    assert before <= file.materialized_at <= ledger.now()
    assert online["empty.parquet"].first_event is None


def test_recording_again_is_no_second_row(ledger: Ledger) -> None:
    ledger.record("radio", "tracks", [FILE], "run 1")
    ledger.record("radio", "tracks", [FILE], "run 2")
    assert [file.run_id for file in ledger.online("radio", "tracks").values()] == ["run 2"]


def test_projects_and_views_have_ledgers_of_their_own(ledger: Ledger) -> None:
    ledger.record("radio", "tracks", [FILE], "run 1")
    ledger.record("radio", "bands", [FILE], "run 1")
    assert ledger.online("other", "tracks") == {}

    ledger.forget("radio", "bands")

    assert ledger.online("radio", "bands") == {}
    assert set(ledger.online("radio", "tracks")) == {"a.parquet"}


def test_recording_nothing_is_fine(ledger: Ledger) -> None:
    ledger.record("radio", "tracks", [], "run 1")
    assert ledger.online("radio", "tracks") == {}


def test_all_files_are_recorded_or_none(ledger: Ledger) -> None:
    def files() -> Iterator[FileSpan]:
        yield FILE
        raise RuntimeError("died while it listed them")

    with pytest.raises(RuntimeError):
        ledger.record("radio", "tracks", files(), "run 1")
    assert ledger.online("radio", "tracks") == {}

"""The ledger beside a registry in PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from feature_ops.feast.ledger import FileSpan, Ledger

FIRST = datetime(1999, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)
FILE = FileSpan("a.parquet", 7, FIRST, datetime(2024, 5, 1, tzinfo=UTC))


def test_what_is_recorded_is_read_with_its_times_in_utc(registry_url: str) -> None:
    ledger = Ledger(registry_url)
    ledger.record("radio", "tracks", [FILE], "run 1")
    ledger.record("radio", "tracks", [FILE], "run 2")

    (file,) = Ledger(registry_url).online("radio", "tracks").values()

    assert (file.rows, file.first_event, file.last_event, file.run_id) == (
        7,
        FIRST,
        FILE.last_event,
        "run 2",
    )
    assert file.first_event is not None
    assert file.first_event.tzinfo is UTC
    ledger.forget("radio", "tracks")
    assert ledger.online("radio", "tracks") == {}


def test_many_that_use_it_first_at_once_make_one_table(registry_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: Ledger(registry_url).online("radio", "tracks"), range(6)))
    assert found == [{}] * 6


def test_its_clock_is_the_databases(registry_url: str) -> None:
    now = Ledger(registry_url).now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)

"""Which of two events of one entity is online, in the engine's writers and in Feast's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest
from redis.exceptions import ResponseError

from feature_ops.feast.engine import valkey
from tests.integration.feast.engine.any_rows import TIMES, view_of
from tests.integration.feast.engine.stores import Held

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VIEW = view_of(["song"], ["large", "text"])


def rows(value: int, happened: datetime, songs: int = 1) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "song": [f"song {number}" for number in range(songs)],
            "large": pa.array([value] * songs, pa.int64()),
            "text": [str(value)] * songs,
            "happened": pa.array([happened] * songs, TIMES),
            "noted": pa.array([NOON] * songs, TIMES),
        }
    )


@pytest.fixture
def store(held: Held) -> Held:
    held.prepare(VIEW)
    held.clear(VIEW)
    return held


def content_of(store: Held, batch: pa.RecordBatch) -> Any:
    """What the store holds when nothing but the batch was ever written."""
    store.clear(VIEW)
    store.write(VIEW, batch)
    return store.content(VIEW)


def test_an_older_event_does_not_replace_a_newer_one(store: Held) -> None:
    newer, older = rows(2, NOON), rows(1, NOON - timedelta(seconds=1))
    store.write(VIEW, newer)

    assert store.write(VIEW, older) == 0
    assert store.content(VIEW) == content_of(store, newer)


def test_an_event_before_1970_is_older_than_one_after(store: Held) -> None:
    newer, older = rows(2, datetime(1970, 1, 2, tzinfo=UTC)), rows(1, datetime(1920, 5, 5, tzinfo=UTC))
    store.write(VIEW, newer)
    store.write(VIEW, older)

    assert store.content(VIEW) == content_of(store, newer)


def test_a_newer_event_replaces_an_older_one(store: Held) -> None:
    older, newer = rows(1, NOON), rows(2, NOON + timedelta(seconds=1))
    store.write(VIEW, older)

    assert store.write(VIEW, newer) == 1
    assert store.content(VIEW) == content_of(store, newer)


def test_a_correction_with_the_same_event_time_is_written(store: Held) -> None:
    wrong, right = rows(1, NOON), rows(2, NOON)
    store.write(VIEW, wrong)

    assert store.write(VIEW, right) == 1
    assert store.content(VIEW) == content_of(store, right)


def test_of_many_rows_only_the_newer_ones_are_written(store: Held) -> None:
    store.write(VIEW, rows(2, NOON, songs=120))

    assert store.write(VIEW, rows(1, NOON - timedelta(days=1), songs=350)) == 230


def test_two_writers_at_once_leave_the_newest_event_of_every_entity(store: Held) -> None:
    events = [rows(minute, NOON + timedelta(minutes=minute), songs=150) for minute in range(6)]
    writers = [Held(store.config), Held(store.config)]
    start = Barrier(len(writers))

    def write(writer: Held, order: list[pa.RecordBatch]) -> None:
        start.wait()
        for batch in order:
            writer.write(VIEW, batch)

    with ThreadPoolExecutor(len(writers)) as pool:
        for done in [pool.submit(write, writers[0], events), pool.submit(write, writers[1], events[::-1])]:
            done.result()

    assert store.content(VIEW) == content_of(store, events[-1])


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_what_is_pushed_between_look_and_write_is_not_overwritten(
    store: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = valkey._Batch.wanted
    pushed = rows(9, NOON + timedelta(hours=1))
    store.write(VIEW, rows(0, NOON - timedelta(hours=1), songs=3))

    def push_first(self: Any, piece: Any, stored: Any) -> Any:
        monkeypatch.undo()
        Held(store.config).write(VIEW, pushed)
        return wanted(self, piece, stored)

    monkeypatch.setattr(valkey._Batch, "wanted", push_first)

    assert store.write(VIEW, rows(1, NOON, songs=3)) == 2
    assert store.content(VIEW) == {
        **content_of(store, rows(1, NOON, songs=3)),
        **content_of(store, pushed),
    }


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_what_is_pushed_before_a_new_row_is_not_overwritten(
    store: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_new = valkey._Batch.set_new
    pushed = rows(9, NOON + timedelta(hours=1))

    def push_first(self: Any, piece: Any) -> Any:
        monkeypatch.undo()
        Held(store.config).write(VIEW, pushed)
        return set_new(self, piece)

    monkeypatch.setattr(valkey._Batch, "set_new", push_first)

    assert store.write(VIEW, rows(1, NOON, songs=3)) == 2
    assert store.content(VIEW) == {
        **content_of(store, rows(1, NOON, songs=3)),
        **content_of(store, pushed),
    }


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_a_server_without_the_newer_command_gets_the_same_rows(store: Held) -> None:
    client = store.store._get_client(store.config.online_store)
    client.acl_setuser("plain", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"])
    client.execute_command("ACL", "SETUSER", "plain", "-hsetex")
    config = store.config.model_copy(deep=True)
    host = config.online_store.connection_string.partition(",")[0]
    config.online_store.connection_string = f"{host},username=plain,password=secret"
    plain = Held(config)
    try:
        written = [
            plain.write(VIEW, rows(2, NOON, songs=250)),
            plain.write(VIEW, rows(1, NOON - timedelta(days=1), songs=1_100)),
            plain.write(VIEW, rows(3, NOON + timedelta(days=1), songs=250)),
        ]
        found = plain.content(VIEW)
    finally:
        client.acl_deluser("plain")

    assert written == [250, 850, 250]
    assert found == {
        **content_of(store, rows(1, NOON - timedelta(days=1), songs=1_100)),
        **content_of(store, rows(3, NOON + timedelta(days=1), songs=250)),
    }


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_an_error_of_the_server_is_told(store: Held) -> None:
    client = store.store._get_client(store.config.online_store)
    store.write(VIEW, rows(1, NOON))
    (key,) = client.scan_iter()
    client.set(key, "no hash")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        store.write(VIEW, rows(2, NOON))


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_a_key_expires_as_feast_is_told(store: Held) -> None:
    config = store.config.model_copy(deep=True)
    expiring = Held(config)
    expiring.config.online_store.key_ttl_seconds = 1_000

    expiring.write(VIEW, rows(1, NOON, songs=2))

    client = store.store._get_client(store.config.online_store)
    left = [client.ttl(key) for key in client.scan_iter()]
    assert len(left) == 2
    assert all(900 < seconds <= 1_000 for seconds in left)


@pytest.mark.parametrize("held", ["valkey"], indirect=True)
def test_feast_leaves_out_a_correction_with_the_same_event_time(store: Held) -> None:
    store.write_as_feast(VIEW, rows(1, NOON))
    store.write_as_feast(VIEW, rows(2, NOON))

    assert store.content(VIEW) == content_of(store, rows(1, NOON))


@pytest.mark.parametrize("held", ["postgres", "sqlite"], indirect=True)
def test_feast_writes_an_older_event_over_a_newer_one_in_sql(store: Held) -> None:
    older = rows(1, NOON - timedelta(days=1))
    store.write_as_feast(VIEW, rows(2, NOON))
    store.write_as_feast(VIEW, older)

    assert store.content(VIEW) == content_of(store, older)

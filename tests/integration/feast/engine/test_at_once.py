"""Rows that are written on several connections at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from feature_ops.feast.engine.arrow_engine import ArrowEngine
from feature_ops.feast.engine.load import Load
from tests.integration.feast.engine.stores import on_postgres
from tests.integration.feast.engine.tracks import (
    END,
    ENGINE,
    NOON,
    SONG,
    feature_store,
    history,
    materialized,
    view,
)

BATCHES, ROWS = 4, 40
# No more rows are sorted together than one batch has.
BATCH_BY_BATCH = {**ENGINE, "sorted_bytes": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of four batches: one row for each of 160 songs."""
    pq.write_table(history(BATCHES * ROWS).slice(BATCHES * ROWS, BATCHES * ROWS), tmp_path / "one.parquet")
    return tmp_path / "one.parquet"


def test_two_connections_write_into_postgresql_and_what_is_told_is_online(
    registry_url: str, file: Path, tmp_path: Path
) -> None:
    held, definition = on_postgres(registry_url), view(str(file))
    materialized(tmp_path / "one", held, {**ENGINE, "postgres_connections": 1}, definition)
    expected = held.content(definition)
    held.clear(definition)
    store = feature_store(tmp_path / "one", held, BATCH_BY_BATCH)
    engine = store._get_provider().batch_engine
    assert isinstance(engine, ArrowEngine)
    looking, both = on_postgres(registry_url), Barrier(2)
    told: list[int] = []

    @contextmanager
    def with_another() -> Iterator[None]:
        both.wait(timeout=60)  # breaks unless two write at once
        yield

    def reached(rows: int) -> None:
        assert len({row[0] for row in looking.content(definition)}) >= rows
        told.append(rows)

    files = pads.dataset(str(file))
    with engine.loading("tracks", Load(files, reached=reached, around_writing=with_another)):
        store.materialize(NOON, END, ["tracks"])

    assert told == [ROWS, 2 * ROWS, 3 * ROWS, 4 * ROWS]
    assert held.content(definition) == expected


def test_rows_that_are_sorted_together_are_told_when_all_of_them_are_online(
    registry_url: str, file: Path, tmp_path: Path
) -> None:
    held, definition = on_postgres(registry_url), view(str(file))
    store = feature_store(tmp_path / "one", held, ENGINE)
    store.apply([SONG, definition])
    engine = store._get_provider().batch_engine
    assert isinstance(engine, ArrowEngine)
    told: list[int] = []
    with engine.loading("tracks", Load(pads.dataset(str(file)), reached=told.append)):
        store.materialize(NOON, END, ["tracks"])
    assert told == [0, 0, 0, BATCHES * ROWS]


def test_what_one_connection_could_not_write_is_told_of_and_nothing_after_it(
    registry_url: str, file: Path, tmp_path: Path
) -> None:
    held, definition = on_postgres(registry_url), view(str(file))
    materialized(tmp_path / "one", held, ENGINE, definition)
    held.clear(definition)
    store = feature_store(tmp_path / "one", held, BATCH_BY_BATCH)
    engine = store._get_provider().batch_engine
    assert isinstance(engine, ArrowEngine)
    begun: list[None] = []
    told: list[int] = []

    @contextmanager
    def failing_second() -> Iterator[None]:
        begun.append(None)
        if len(begun) == 2:
            raise ConnectionError("the second batch is lost")
        yield

    load = Load(pads.dataset(str(file)), reached=told.append, around_writing=failing_second)
    with (
        engine.loading("tracks", load),
        pytest.raises(ConnectionError, match="the second batch is lost"),
    ):
        store.materialize(NOON, END, ["tracks"])

    assert told in ([], [ROWS])

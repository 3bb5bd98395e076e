"""From any parquet file to what is online and answered: the engine beside stock Feast."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureView, Field, FileSource
from feast.types import String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.feast.engine.any_rows import FEATURES, TIMES
from tests.integration.feast.engine.stores import Held
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

MINUTES = (END - NOON) // timedelta(minutes=1)


@st.composite
def histories(draw: st.DrawFn, features: list[str]) -> pa.Table:
    """Several versions of some songs; no two of one song have one event time."""
    versions = draw(
        st.lists(
            st.tuples(st.sampled_from(["🎵", "", "a", "é"]), st.integers(-2, MINUTES + 2)),
            min_size=1,
            max_size=8,
            unique=True,
        )
    )
    count = len(versions)
    columns = {"song": pa.array([song for song, _ in versions])}
    for name in features:
        _, kind, values = FEATURES[name]
        drawn = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[name] = pa.array(drawn, kind)
    columns["happened"] = pa.array([NOON + timedelta(minutes=minute) for _, minute in versions], TIMES)
    return pa.table(columns)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_in_the_file_the_same_comes_online(
    held: Held, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    features = data.draw(st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, unique=True))
    table = data.draw(histories(features))
    folder = tmp_path_factory.mktemp("any")
    pq.write_table(table, folder / "any.parquet", row_group_size=3)
    definition = FeatureView(
        name="tracks",
        entities=[SONG],
        ttl=timedelta(0),
        schema=[
            Field(name="song", dtype=String),
            *(Field(name=name, dtype=FEATURES[name][0]) for name in features),
        ],
        source=FileSource(path=str(folder / "any.parquet"), timestamp_field="happened"),
    )

    together = {"batch_rows": data.draw(st.integers(1, 4)), "sorted_bytes": data.draw(st.integers(1, 1_000))}
    seen: list[Any] = []
    for name, engine in (("stock", "local"), ("ours", {**ENGINE, **together})):
        store = feature_store(folder / name, held, engine)
        store.apply([SONG, definition])
        held.clear(definition)
        store.materialize(NOON, END, ["tracks"])
        songs = [{"song": song} for song in ("🎵", "", "a", "é", "none")]
        answer = store.get_online_features([f"tracks:{name}" for name in features], songs)
        seen.append((held.content(definition), answer.proto.SerializeToString(deterministic=True)))

    assert seen[0] == seen[1]


@pytest.mark.parametrize("held", ["postgres", "sqlite"], indirect=True)
def test_a_created_time_that_is_null_is_stored_as_null_where_feast_fails(held: Held, tmp_path: Path) -> None:
    table = history(1).slice(0, 1)
    place = table.schema.get_field_index("noted")
    pq.write_table(table.set_column(place, "noted", pa.nulls(1, TIMES)), tmp_path / "null.parquet")
    definition = view(str(tmp_path / "null.parquet"))

    materialized(tmp_path / "ours", held, ENGINE, definition)

    assert {row[-1] for row in held.content(definition)} == {None}
    stock = Held(held.config)
    if held.config.online_store.type == "sqlite":
        with pytest.raises(sqlite3.ProgrammingError, match="NaTType"):
            materialized(tmp_path / "stock", stock, "local", definition)
    else:
        # Feast stores a time in the year 48113, which nobody can read back.
        materialized(tmp_path / "stock", stock, "local", definition)
        with pytest.raises(psycopg.DataError, match="too large"):
            stock.content(definition)

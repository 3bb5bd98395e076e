"""``feast materialize`` with the engine and with stock Feast: the same online, through the whole of Feast."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import BatchFeatureView, FeatureStore, Field
from feast.types import Array, Float32, Int64, Set, String

from demo.servers import Servers
from tests.integration.feast.engine.stores import Held, on_postgres, on_sqlite, on_valkey
from tests.integration.feast.engine.tracks import (
    ENGINE,
    NOON,
    history,
    materialized,
    view,
)


def answers(store: FeatureStore) -> dict[str, Any]:
    songs = [{"song": f"song {number} 🎵"} for number in (0, 7, 99, 100)]
    features = ["loudness", "plays", "live", "added", "tags"]
    return store.get_online_features([f"tracks:{name}" for name in features], songs).to_dict()


@pytest.fixture
def files(tmp_path: Path) -> str:
    folder = tmp_path / "history"
    folder.mkdir()
    table = history()
    for number, start in enumerate(range(0, table.num_rows, 150)):
        pq.write_table(table.slice(start, 150), folder / f"{number}.parquet", row_group_size=60)
    return str(folder)


def test_the_same_is_online_as_with_stock_feast(held: Held, files: str, tmp_path: Path) -> None:
    definition = view(files)
    stock = materialized(tmp_path / "stock", held, "local", definition)
    expected, expected_answers = held.content(definition), answers(stock)

    ours = materialized(tmp_path / "ours", held, ENGINE, definition)

    assert held.content(definition) == expected
    assert answers(ours) == expected_answers
    assert expected_answers["plays"] == [2**40 + 1, 2**40 + 8, 2**40 + 100, None]


def test_of_a_view_without_entities_the_latest_row_is_online(held: Held, tmp_path: Path) -> None:
    pq.write_table(history(), tmp_path / "one.parquet")
    definition = view(str(tmp_path / "one.parquet"), entities=None, schema=[Field(name="plays", dtype=Int64)])

    ours = materialized(tmp_path / "ours", held, ENGINE, definition)

    answer = ours.get_online_features(["tracks:plays"], [{"any": 0}]).to_dict()
    assert answer["plays"] == [2**40 + 100]


def test_the_history_on_s3_is_read_without_any_extension(
    servers: Servers, storage: Any, online_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in servers.object_store.environment().items():
        monkeypatch.setenv(name, value)
    bucket = storage.storage_uri.removeprefix("s3://")
    filesystem = servers.object_store.filesystem
    pq.write_table(history(), f"{bucket}/tracks/one.parquet", filesystem=filesystem)
    held = on_valkey(servers)

    ours = materialized(tmp_path / "ours", held, ENGINE, view(f"s3://{bucket}/tracks/"))

    assert answers(ours)["plays"] == [2**40 + 1, 2**40 + 8, 2**40 + 100, None]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"offline": True}, "offline store"),
        (
            {"kind": BatchFeatureView, "mode": "python", "udf": lambda rows: rows, "online": True},
            "transformed",
        ),
        (
            {"schema": [Field(name="song", dtype=String), Field(name="tags", dtype=Set(String))]},
            "STRING_SET",
        ),
        ({"enable_validation": True}, "validated"),
    ],
)
def test_what_is_outside_the_fast_set_is_left_to_stock_feast_and_told(
    options: dict[str, Any],
    reason: str,
    files: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from feast.infra.compute_engines.local.compute import LocalComputeEngine
    from feast.infra.compute_engines.local.job import LocalMaterializationJob, MaterializationJobStatus

    done: list[str] = []

    def stock(self: Any, registry: Any, task: Any, **kwargs: Any) -> LocalMaterializationJob:
        done.append(task.feature_view.name)
        return LocalMaterializationJob("job", MaterializationJobStatus.SUCCEEDED)

    monkeypatch.setattr(LocalComputeEngine, "_materialize_one", stock)
    with caplog.at_level(logging.INFO, "feature_ops"):
        materialized(tmp_path / "ours", on_sqlite(tmp_path), ENGINE, view(files, **options))

    assert done == ["tracks"]
    (line,) = [record.getMessage() for record in caplog.records if "stock Feast" in record.getMessage()]
    assert reason in line


def test_a_table_that_keeps_numbers_is_left_to_stock_feast(
    registry_url: str, files: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeps = on_postgres(registry_url, enable_openai_compatible_store=True)
    keeps.prepare(view(files))

    with caplog.at_level(logging.INFO, "feature_ops"):
        store = materialized(tmp_path / "ours", on_postgres(registry_url), ENGINE, view(files))

    assert "keeps numbers" in caplog.text
    assert answers(store)["plays"] == [2**40 + 1, 2**40 + 8, 2**40 + 100, None]


def test_a_failure_is_feasts_failure(files: str, tmp_path: Path) -> None:
    table = history(3)
    nulls = table.set_column(0, "id", pa.array([None] * table.num_rows, pa.string()))
    pq.write_table(nulls, tmp_path / "nulls.parquet")

    with pytest.raises(ValueError, match=r"join key song \(column id\) is null in \d+ rows"):
        materialized(tmp_path / "ours", on_sqlite(tmp_path), ENGINE, view(str(tmp_path / "nulls.parquet")))


def test_integers_beside_nulls_keep_their_digits_where_stock_feast_rounds_them(
    held: Held, tmp_path: Path
) -> None:
    table = history(2).slice(0, 2)
    exact = table.set_column(2, "plays", pa.array([2**60 + 1, None], pa.int64()))
    pq.write_table(exact, tmp_path / "exact.parquet")
    definition = view(str(tmp_path / "exact.parquet"))

    plays = {}
    for name, engine in (("stock", "local"), ("ours", ENGINE)):
        store = materialized(tmp_path / name, held, engine, definition)
        songs = [{"song": "song 0 🎵"}, {"song": "song 1 🎵"}]
        plays[name] = store.get_online_features(["tracks:plays"], songs).to_dict()["plays"]

    assert plays == {"stock": [2**60, None], "ours": [2**60 + 1, None]}


def test_of_the_many_nans_in_a_list_the_same_one_is_stored_as_by_stock_feast(
    held: Held, tmp_path: Path
) -> None:
    nans = pa.array(np.array([0xFFC00000, 0x7FC00001, 0x3F800000], np.uint32).view(np.float32))
    lists = pa.ListArray.from_arrays([0, 3, 3], nans)
    table = history(2).slice(0, 2)
    pq.write_table(table.append_column("levels", lists), tmp_path / "nans.parquet")
    fields = [Field(name="song", dtype=String), Field(name="levels", dtype=Array(Float32))]
    definition = view(str(tmp_path / "nans.parquet"), schema=fields)

    materialized(tmp_path / "stock", held, "local", definition)
    expected = held.content(definition)
    materialized(tmp_path / "ours", held, ENGINE, definition)

    assert held.content(definition) == expected


def test_training_rows_come_from_feasts_own_offline_store(files: str, tmp_path: Path) -> None:
    labels = pd.DataFrame({"song": ["song 7 🎵"], "event_timestamp": [NOON + timedelta(minutes=90)]})
    found = [
        materialized(tmp_path / name, on_sqlite(tmp_path), engine, view(files))
        .get_historical_features(labels, ["tracks:plays"])
        .to_df()
        for name, engine in (("stock", "local"), ("ours", ENGINE))
    ]

    pd.testing.assert_frame_equal(found[0], found[1])
    assert len(found[0]) == 1

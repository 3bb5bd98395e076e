"""The engine, and stock Feast's, materialize from the store's sources."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, RepoConfig

from tests.integration.feast.engine.tracks import END, ENGINE, NOON, SONG, history, view
from tests.integration.feast.offline.concerts import OURS


@pytest.mark.parametrize(("engine", "takes_it"), [(ENGINE, True), ("local", False)], ids=["ours", "stock"])
def test_rows_come_online_from_the_stores_sources(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, engine: Any, takes_it: bool
) -> None:
    pq.write_table(history(3), tmp_path / "history.parquet")
    store = FeatureStore(
        config=RepoConfig(
            project="radio",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            offline_store={"type": OURS},
            batch_engine=engine,
            entity_key_serialization_version=3,
        )
    )
    store.apply([SONG, view(str(tmp_path / "history.parquet"))])

    with caplog.at_level(logging.INFO, "feature_ops"):
        store.materialize(NOON - timedelta(days=1), END, ["tracks"])

    answer = store.get_online_features(["tracks:plays"], [{"song": "song 0 🎵"}]).to_dict()
    assert answer["plays"] == [2**40 + 1]
    assert ("rows written" in caplog.text) == takes_it
    assert "stock Feast" not in caplog.text

"""What Prometheus is told of a model: how far its songs have moved, how old it and its features are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from jukebox.drift import Bins, bins_of
from jukebox.serving.app import Service, create_app
from jukebox.serving.asked import Asked
from jukebox.serving.follower import Follower
from jukebox.serving.kept import KeptModels
from jukebox.serving.metrics import Metrics
from jukebox.serving.models import Model
from jukebox.serving.predictions import Prediction
from jukebox.serving.problems import RefusedError
from jukebox.serving.songs import SongNames
from jukebox.serving.store_calls import StoreCalls
from tests.unit.model.serving_parts import FEATURES, REFS, FeatureRepository, Shelf, write_model

# The song "full" is at 0.8, -6.5 and 5.
TRAINED = np.column_stack([np.tile([0.8, 0.1], 50), np.full(100, -6.5), np.tile([5.0, 1.0], 50)])


def told(client: TestClient) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf()
    shelf.put("1", write_model(tmp_path / "one", bins=bins_of(TRAINED, FEATURES)))
    return shelf


@pytest.fixture
def client(shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path) -> Iterator[TestClient]:
    metrics = Metrics()
    follower = Follower("test", shelf, feature_repository.folder, KeptModels(tmp_path / "state"), metrics)
    # Polls this often slow down its reads: no timeout here, see test_serving_store_calls.py.
    service = Service(follower, SongNames(""), metrics, poll=0.02, calls=StoreCalls(timeout_seconds=60))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        wait_for_version(client, "1")
        yield client


def wait_for_version(client: TestClient, version: str) -> None:
    limit = time.monotonic() + 20
    while client.get("/model").json()["version"] != version:
        assert time.monotonic() < limit, f"version {version} does not answer"
        time.sleep(0.02)


def ask(client: TestClient, *songs: str) -> None:
    assert client.post("/predict", json={"songs": songs}).status_code == 200


def test_the_index_of_each_feature_is_told_once_enough_was_asked(client: TestClient) -> None:
    ask(client, *["full"] * 99, "unknown")
    numbers = told(client)
    assert numbers[("jukebox_feature_drift_rows",)] == 99
    assert not [name for name in numbers if name[0] == "jukebox_feature_drift_psi"]

    ask(client, "full")
    numbers = told(client)
    for at, name in enumerate(FEATURES):
        value = float(np.float32([0.8, -6.5, 5][at]))
        wanted = Bins.of(TRAINED[:, at]).stability_index(np.full(100, value))
        assert numbers[("jukebox_feature_drift_psi", name)] == pytest.approx(wanted)
    assert numbers[("jukebox_feature_drift_psi", "loudness")] == pytest.approx(0)
    assert numbers[("jukebox_feature_drift_psi", "energy")] > 1


def test_nulls_count_as_missing(client: TestClient) -> None:
    ask(client, *["holes", "nothing"] * 50)
    assert told(client)[("jukebox_feature_drift_psi", "loudness")] == pytest.approx(
        Bins.of(TRAINED[:, 1]).stability_index(np.full(100, np.nan))
    )


def test_a_model_from_before_has_no_index_and_says_so(
    client: TestClient, shelf: Shelf, tmp_path: Path
) -> None:
    assert client.get("/model").json()["drift"] is None
    shelf.put("2", write_model(tmp_path / "two", seed=2))
    wait_for_version(client, "2")
    ask(client, *["full"] * 100)
    assert not [name for name in told(client) if name[0].startswith("jukebox_feature_drift")]
    assert "was trained before" in client.get("/model").json()["drift"]


def test_a_new_model_on_the_same_features_is_compared_at_once(
    client: TestClient, shelf: Shelf, tmp_path: Path
) -> None:
    ask(client, *["full"] * 100)
    moved = np.tile([0.8, -6.5, 5.0], (100, 1))
    shelf.put("2", write_model(tmp_path / "two", seed=2, bins=bins_of(moved, FEATURES)))
    wait_for_version(client, "2")
    assert told(client)[("jukebox_feature_drift_psi", "energy")] == pytest.approx(0, abs=1e-6)


def test_a_model_with_other_features_begins_anew(client: TestClient, shelf: Shelf, tmp_path: Path) -> None:
    ask(client, *["full"] * 100)
    names, bins = REFS[:2], bins_of(TRAINED[:, :2], FEATURES[:2])
    shelf.put("2", write_model(tmp_path / "two", refs=names, bins=bins))
    wait_for_version(client, "2")
    assert told(client)[("jukebox_feature_drift_rows",)] == 0


def test_bins_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    bins: Any = bins_of(TRAINED, FEATURES) | {"key": {"edges": [1], "shares": [1]}}
    with pytest.raises(RefusedError, match=r"model\.json is not complete"):
        Model.load(write_model(tmp_path / "bad", bins=bins))
    with pytest.raises(RefusedError, match="key"):
        Model.load(write_model(tmp_path / "less", bins=bins_of(TRAINED[:, :2], FEATURES[:2])))


def test_the_ages_are_told(client: TestClient) -> None:
    numbers = told(client)
    assert time.time() - numbers[("jukebox_model_loaded_timestamp_seconds",)] < 60


def test_only_the_last_songs_are_kept(tmp_path: Path) -> None:
    asked, model = Asked(most=3), Model.load(write_model(tmp_path / "model"))
    for energy in range(5):
        values = [{"value": energy}, {"value": None}, {"value": 1}]
        asked.add(model, [Prediction("song", "answered", content={"features": values})])
    rows = asked.rows(model)
    assert sorted(rows[:, 0].tolist()) == [2, 3, 4]
    assert np.isnan(rows[:, 1]).all()

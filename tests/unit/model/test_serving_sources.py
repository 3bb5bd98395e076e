"""MLflow's registry as the service sees it: a version by its alias, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jukebox.serving.problems import UnavailableError
from jukebox.serving.sources import MlflowSource
from tests.unit.model.serving_parts import write_model


@pytest.fixture
def mlflow_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an MLflow that is a SQLite file and a folder."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    mlflow.set_tracking_uri(None)
    return mlflow.MlflowClient()


def test_follows_an_alias_and_downloads_what_training_logged(mlflow_client: Any, tmp_path: Path) -> None:
    source = MlflowSource()
    assert source.version("test") is None, "no model yet"
    experiment = mlflow_client.create_experiment(
        "jukebox", artifact_location=(tmp_path / "artifacts").as_uri()
    )
    mlflow_client.create_registered_model("jukebox")
    assert source.version("test") is None, "no alias yet"
    for seed in (1, 2):
        run = mlflow_client.create_run(experiment)
        mlflow_client.log_artifacts(
            run.info.run_id, str(write_model(tmp_path / f"model-{seed}", seed=seed)), "model"
        )
        mlflow_client.create_model_version("jukebox", f"{run.info.artifact_uri}/model", run.info.run_id)
    mlflow_client.set_registered_model_alias("jukebox", "test", "2")
    mlflow_client.set_registered_model_alias("jukebox", "champion", "1")
    assert (source.version("test"), source.version("champion")) == ("2", "1")
    (tmp_path / "got").mkdir()
    source.download("2", tmp_path / "got")
    for name in ("model.onnx", "model.json"):
        assert (tmp_path / "got" / name).read_bytes() == (tmp_path / "model-2" / name).read_bytes()


def test_a_server_that_is_away_is_told_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    import mlflow

    mlflow.set_tracking_uri(None)
    source = MlflowSource()
    with pytest.raises(UnavailableError, match="MLflow does not answer"):
        source.version("test")
    with pytest.raises(UnavailableError, match="version 1 can't be downloaded"):
        source.download("1", tmp_path)

"""MLflow keeps runs, models and their files; the model's service lives without either."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pandas as pd
import pytest
from sqlalchemy.engine import make_url

from demo.bootstrap import RANKINGS, Bootstrap
from demo.errors import DemoError
from demo.model_service import ModelService
from demo.servers import Servers
from demo.sessions import Session
from demo.songs import catalogue

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def client_environment(mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client has: the address, and no key of the object store."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)


def test_mlflow_keeps_a_models_files_on_s3_for_clients_without_keys(
    servers: Servers, client_environment: None, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.create_experiment("test-demo")
    run = client.create_run(experiment).info
    (tmp_path / "model.json").write_text("{}")
    client.log_artifact(run.run_id, str(tmp_path / "model.json"), "model")
    client.create_registered_model("test-demo")
    version = client.create_model_version("test-demo", f"{run.artifact_uri}/model", run.run_id)
    client.set_registered_model_alias("test-demo", "test", version.version)

    assert client.get_model_version_by_alias("test-demo", "test").run_id == run.run_id
    (tmp_path / "back").mkdir()
    client.download_artifacts(run.run_id, "model", str(tmp_path / "back"))
    assert (tmp_path / "back" / "model" / "model.json").read_text() == "{}"
    stored = [item.uri for item in servers.object_store.list("s3://models/mlflow/")]
    assert f"s3://models/mlflow/{experiment}/{run.run_id}/artifacts/model/model.json" in stored


def test_mlflows_password_is_in_no_command_line(servers: Servers, mlflow_url: str) -> None:
    password = make_url(servers.create_database("mlflow")).password
    session = Session.from_json((servers.home / "run" / "mlflow.json").read_text())
    arguments = [argument for process in session.members() for argument in process.cmdline()]
    assert any("s3://models" in argument for argument in arguments)
    assert not [argument for argument in arguments if str(password) in argument]


def test_a_model_service_lives_before_there_is_a_model(
    servers: Servers, registry_url: str, mlflow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "FEAST_REGISTRY_URL": registry_url,
        "FEAST_ONLINE_STORE": servers.online_store,
        "MLFLOW_TRACKING_URI": mlflow_url,
        **servers.object_store.environment(),
    }
    service = ModelService(servers.site, "test", PROJECT, environment)
    service.start()
    try:
        monkeypatch.setattr("demo.model_service.PATIENCE", 0)
        with pytest.raises(DemoError, match=f"for test has a model: see what it says at {service.url}/model"):
            service.wait_for_model()
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{service.url}/health/ready", timeout=20)
        assert refused.value.code == 503
        assert json.loads(refused.value.read())
    finally:
        servers.processes.stop(["model-test"])


@pytest.fixture
def own_bucket(servers: Servers) -> Iterator[None]:
    bucket = RANKINGS.split("/")[0]
    servers.create_bucket(bucket)
    yield
    servers.remove_bucket(bucket)


def test_the_charts_are_uploaded_once(servers: Servers, own_bucket: None, tmp_path: Path) -> None:
    songs = tmp_path / "catalogue.parquet"
    catalogue().head(500).to_parquet(songs)
    bootstrap = Bootstrap(servers.object_store, "", {}, PROJECT, tmp_path)
    bootstrap.upload_rankings(songs)
    charts = pd.read_parquet(RANKINGS, filesystem=servers.object_store.filesystem)
    assert set(charts["spotify_id"]) <= set(catalogue().head(500)["spotify_id"])
    assert charts["country"].nunique() == 73

    bucket, key = RANKINGS.split("/", 1)
    servers.object_store.client.put_object(Bucket=bucket, Key=key, Body=b"a user's own")
    bootstrap.upload_rankings(songs)
    assert servers.object_store.client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"a user's own"

"""The real training succeeds in the sandbox, with the credentials of trainings, on the real servers."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.rankings import rankings
from demo.servers import Servers
from demo.songs import catalogue
from feature_ops.training.process import run_in_process
from feature_ops.training.result import TrainingResult
from feature_ops.training.store_ports import store_ports
from tests.conftest import PROJECT
from tests.integration.model.feature_repository import FEATURES, SERVICE, FeatureRepository, history_rows

CONFIGURATION = (PROJECT / "feature_repo" / "feature_store.yaml").read_text()


@pytest.fixture
def database(servers: Servers) -> Iterator[str]:
    name = f"feast_{secrets.token_hex(4)}"
    yield name
    servers.drop_database(name)


def test_an_honest_training_succeeds_with_its_own_credentials(
    servers: Servers, mlflow_url: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = catalogue().sample(300, random_state=1).reset_index(drop=True)
    servers.create_bucket("data")
    files = servers.object_store.filesystem
    history_rows(songs).to_parquet("data/song_properties/songs.parquet", filesystem=files)
    rankings(songs, rows=6_000).to_parquet("data/song_rankings/rankings.parquet", filesystem=files)
    owner = {
        "FEAST_REGISTRY_URL": servers.create_database(database),
        "FEAST_ONLINE_STORE": servers.online_store,
        **servers.object_store.environment(),
    }
    for name, value in owner.items():
        monkeypatch.setenv(name, value)
    repository = FeatureRepository(tmp_path / "features", "s3://data/song_properties/")
    (repository.folder / "feature_store.yaml").write_text(CONFIGURATION)
    repository.apply(tuple(FEATURES))

    code, scratch = tmp_path / "code", tmp_path / "scratch"
    shutil.copytree(PROJECT / "model", code)
    scratch.mkdir()
    environment = {
        "FEAST_REGISTRY_URL": servers.create_reader(database),
        "FEAST_ONLINE_STORE": servers.online_store_reader,
        **servers.object_store_of("training").environment(),
        "MLFLOW_TRACKING_URI": mlflow_url,
    }
    result = f"s3://data/_training/jukebox/results/{database}/result.json"
    arguments = {
        "feature-repo": str(repository.folder),
        "feature-service": SERVICE,
        "revision": "0123456789abcdef",
        "rankings": "s3://data/song_rankings/rankings.parquet",
        "dataset-version": "songs-1",
        "definition-hash": "hash-1",
        "champion": "models:/nobody@champion",
        "result": result,
    }
    run_in_process(
        ["-m", "jukebox", "train", *(f"--{name}={value}" for name, value in arguments.items())],
        code,
        environment,
        environment.values(),
        300,
        scratch=scratch,
        ports=store_ports(yaml.safe_load(CONFIGURATION), environment),
        readable=[repository.folder],
    )

    found = servers.object_store.get_bytes(result)
    assert found is not None
    trained = TrainingResult.read(found[0], result)
    assert trained.rows["train"] > 1_000
    stored = [item.uri for item in servers.object_store.list("s3://models/mlflow/")]
    assert [uri for uri in stored if f"/{trained.run_id}/" in uri and uri.endswith("/model.onnx")]
    assert json.loads(found[0])["git_commit"] == "0123456789abcdef"

"""From an applied commit to a model: planned by the task, trained by the real image in a pod."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from demo.rankings import rankings
from demo.servers import Servers
from demo.songs import catalogue
from feature_ops.settings import Settings, get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.model_registry import TEST, ModelRegistry
from feature_ops.training.operators import RetrainOperator
from feature_ops.training.result import TrainingResult
from tests.integration.conftest import GitRepository
from tests.integration.feast.changes import Changes
from tests.integration.kubernetes.conftest import SECRET, TaskStandIn
from tests.integration.model.feature_repository import history_rows
from tests.kubernetes.api_server import ApiServer

# The first test waits for the image to be built.
pytestmark = pytest.mark.timeout(900)

CONFIGURATION = """\
project: radio
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
offline_store:
  type: feature_ops.feast.offline.ArrowOfflineStore
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
entity_key_serialization_version: 3
"""
SONGS = """\
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float32, String

music = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
tracks = FeatureView(
    name="songs",
    entities=[music],
    schema=[
        Field(name="spotify_id", dtype=String),
        Field(name="energy", dtype=Float32),
        Field(name="valence", dtype=Float32),
        Field(name="danceability", dtype=Float32),
    ],
    source=FileSource(
        name="songs",
        path="{uri}",
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="ingested_at",
    ),
)
"""
SERVICE = """\
from feast import FeatureService
from features import tracks

tracks_fs = FeatureService(name="tracks_fs", features=[tracks])
"""


def put(servers: Servers, rows: pd.DataFrame, uri: str) -> None:
    buffer = io.BytesIO()
    rows.to_parquet(buffer)
    servers.object_store.put_bytes(buffer.getvalue(), uri)


@pytest.fixture
def changes(
    cluster: ApiServer,
    storage: Settings,
    servers: Servers,
    airflow_connections: None,
    registry_url: str,
    online_store: str,
    git_repository: GitRepository,
    mlflow_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Changes:
    """Songs with their history, rankings, and a commit that is applied."""
    songs = catalogue().sample(600, random_state=1).reset_index(drop=True)
    history = f"{storage.storage_uri}/songs/"
    put(servers, history_rows(songs), f"{history}history.parquet")
    put(servers, rankings(songs, rows=20_000), f"{storage.storage_uri}/song_rankings/rankings.parquet")
    (tmp_path / "feature_store.yaml").write_text(CONFIGURATION)
    feast = {"FEAST_REGISTRY_URL": registry_url, "FEAST_ONLINE_STORE": online_store}
    cluster.node.secrets[SECRET].update(feast)
    of_airflow = {
        **feast,
        **servers.object_store.environment(),
        "FEATURE_OPS_FEATURE_REPO": str(tmp_path),
        "FEATURE_OPS_MLFLOW_TRACKING_URI": mlflow_url,
        "FEATURE_OPS_TRAINING_MEMORY": "2GiB",
    }
    for name, value in of_airflow.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    (tmp_path / "work").mkdir()
    made = Changes(tmp_path / "work", tmp_path, registry_url, history)
    made.start(servers.home / "git" / git_repository.url.rsplit("/", 1)[-1])
    made.push("Define songs", {"features.py": SONGS.replace("{uri}", history), "feature_service.py": SERVICE})
    made.push("Model", {"train.py": "# The image has it."}, "model")
    return made


def test_an_applied_commit_becomes_a_model_in_a_pod_and_only_once(
    changes: Changes, cluster: ApiServer, servers: Servers, mlflow_url: str
) -> None:
    diff = changes.run().facts["diff"]
    model = Model(
        name=f"jukebox-{os.getpid()}",
        feature_service="tracks_fs",
        command=("-m", "jukebox", "train"),
        arguments={"rankings": f"{get_settings().storage_uri}/song_rankings/rankings.parquet"},
    )
    training = TaskStandIn(lambda: RetrainOperator(task_id="retrain", model=model, diff=diff))

    facts = training.run()

    assert training.said.startswith(f"trained on {facts['commit'][:10]} (the first model): 3 features, ")
    kept = servers.object_store.get_bytes(facts["result_uri"])
    assert kept is not None
    result = TrainingResult.read(kept[0], facts["result_uri"])
    registry = ModelRegistry(mlflow_url, model.name)
    version = registry.register(
        result, "tracks_fs", code_hash=facts["code_hash"], result_uri=facts["result_uri"]
    )
    # Another try of this run reads the result that is there.
    training.start_only()
    registry.set_alias(TEST, version)
    with pytest.raises(AirflowSkipException, match="nothing to train"):
        TaskStandIn(training.operator, "another run").start_only()
    assert len(cluster.created) == 1

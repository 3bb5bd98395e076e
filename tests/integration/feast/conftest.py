"""A small dataset on S3 with a feature repository of its own, on the real servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Bool, Float32, Int64, String
from s3fs import S3FileSystem

from demo.servers import Servers
from feature_ops.assets import dataset_asset
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.feast.apply_process import Applied, ApplyRequest, apply
from feature_ops.feast.backfill_progress import BackfillProgress
from feature_ops.feast.definitions_store import DefinitionsStore
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.history import History
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.materialize import Materialization, Materializer
from feature_ops.feast.operators import (
    BackfillOperator,
    MaterializeIncrementalOperator,
    VerifyOnlineOperator,
)
from feature_ops.feast.verify import Verifier
from feature_ops.settings import get_settings
from tests.integration.conftest import GitRepository
from tests.integration.feast.changes import Changes

TRACKS = Dataset(
    name="tracks",
    keys=("id",),
    feature_service="tracks_fs",
    columns=(
        Column(name="id", type=ColumnType.STRING),
        Column(name="title", type=ColumnType.STRING, nullable=True),
        Column(name="energy", type=ColumnType.DOUBLE, nullable=True),
        Column(name="plays", type=ColumnType.INT64),
        Column(name="live", type=ColumnType.BOOL),
    ),
)

CONFIGURATION = """\
project: radio
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
  cache_ttl_seconds: 60
  serve_features_while_materializing: true
offline_store:
  type: file
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
entity_key_serialization_version: 3
"""

# Named, it is used; otherwise the DAGs take the Arrow engine.
BY_STOCK_FEAST = CONFIGURATION + "batch_engine:\n  type: local\n"


class TaskStateStandIn(dict[str, Any]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value


def utc(when: str | datetime) -> datetime:
    """Return a time that is written without a zone."""
    return datetime.fromisoformat(when).replace(tzinfo=UTC) if isinstance(when, str) else when


def definitions(path: str, name: str = "tracks") -> list[Any]:
    """Return what a person would write into a feature repository."""
    entity = Entity(name="track", join_keys=["id"], value_type=ValueType.STRING)
    view = FeatureView(
        name=name,
        entities=[entity],
        schema=[
            Field(name="id", dtype=String),
            Field(name="energy", dtype=Float32),
            Field(name="plays", dtype=Int64),
            Field(name="live", dtype=Bool),
        ],
        source=FileSource(
            name=f"{name}_source",
            path=path,
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="ingested_at",
        ),
    )
    return [entity, view, FeatureService(name="tracks_fs", features=[view])]


@dataclass
class Radio:
    """The dataset, its history, its feature store and the two operators, as a person sees them."""

    servers: Servers
    repo: Path
    registry_url: str
    dataset: Dataset = TRACKS
    context: dict[str, Any] = field(default_factory=dict)

    def store(self) -> FeatureStore:
        return FeatureStore(repo_path=str(self.repo))

    def persons_store(self) -> FeatureStore:
        """Return the feature store as another process sees it, with no listing of S3 remembered."""
        S3FileSystem.clear_instance_cache()
        return self.store()

    def apply(self, path: str = "", view: str = "tracks") -> None:
        """Apply the view, its source at the history or at another path."""
        self.store().apply(definitions(path or TRACKS.uri, view))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.registry_url)

    def publish(
        self, *rows: tuple[str, str | datetime, float | None], ingested_at: datetime | None = None
    ) -> str:
        """Put a file of keys, event times (UTC) and energies into the history; returns its name."""
        whole = [
            {
                "id": key,
                "title": f"Track {key}",
                "energy": energy,
                "plays": len(key),
                "live": energy is None,
                "event_timestamp": utc(when),
                "ingested_at": ingested_at or datetime.now(UTC),
            }
            for key, when, energy in rows
        ]
        file = self.repo / "published.parquet"
        pq.write_table(pa.Table.from_pylist(whole, TRACKS.arrow_schema()), file)
        name = f"{hashlib.sha256(file.read_bytes()).hexdigest()[:20]}.parquet"
        self.servers.object_store.put_file_once(str(file), TRACKS.uri + name)
        return name

    def new_context(self, run_id: str) -> dict[str, Any]:
        self.context = {
            "dag_run": SimpleNamespace(run_id=run_id),
            "task_state_store": TaskStateStandIn(),
            "outlet_events": OutletEventAccessors(),
        }
        return self.context

    def materialize(self, run_id: str = "run", context: Any = None, **arguments: Any) -> dict[str, Any]:
        operator = MaterializeIncrementalOperator(
            task_id="materialize",
            dataset=TRACKS,
            outlets=[dataset_asset(TRACKS)],
            **{"versioned": {"commit": "c0ffee"}, **arguments},
        )
        return operator.execute(context or self.new_context(run_id))

    def backfill(self, run_id: str) -> dict[str, Any]:
        operator = BackfillOperator(task_id="backfill", datasets=[TRACKS])
        return operator.execute(self.new_context(run_id))

    @property
    def progress(self) -> BackfillProgress:
        return BackfillProgress(self.registry_url)

    def materializer(self) -> Materializer:
        history = History.from_store(TRACKS, self.servers.object_store)
        return Materializer(self.store(), self.ledger, self.progress, history, TRACKS.uri, "run")

    def materialized_again(self) -> str:
        """Return why a run that finds nothing new is skipped."""
        with pytest.raises(AirflowSkipException) as skipped:
            self.materialize("another run")
        return str(skipped.value)

    def verify(self, materialized: dict[str, Any]) -> dict[str, Any]:
        operator = VerifyOnlineOperator(task_id="verify", dataset=TRACKS, materialized=materialized)
        return operator.execute(self.new_context("run"))

    @property
    def summary(self) -> str:
        return self.context["task_state_store"]["summary"]

    @property
    def event(self) -> dict[str, Any]:
        return self.context["outlet_events"][dataset_asset(TRACKS)].extra

    def online(self, *keys: str) -> dict[str, Any]:
        """Return the energy that predictions would see, by key."""
        store = self.store()
        rows = [{"id": key} for key in keys]
        answer = store.get_online_features(store.get_feature_service("tracks_fs"), rows).to_dict()
        return dict(zip(answer["id"], answer["energy"], strict=True))


@pytest.fixture
def make_radio(
    servers: Servers,
    airflow_connections: None,
    registry_url: str,
    online_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Radio]:
    """Make the feature store from a configuration, with nothing applied yet."""

    def make(configuration: str) -> Radio:
        (tmp_path / "feature_store.yaml").write_text(configuration)
        variables = {
            **servers.object_store.environment(),
            "FEAST_REGISTRY_URL": registry_url,
            "FEAST_ONLINE_STORE": online_store,
            "FEATURE_OPS_FEATURE_REPO": str(tmp_path),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return Radio(servers, tmp_path, registry_url)

    return make


@pytest.fixture
def radio(make_radio: Callable[[str], Radio], request: pytest.FixtureRequest) -> Radio:
    """The feature store with the dataset's view applied; its configuration may be a parameter."""
    radio = make_radio(getattr(request, "param", CONFIGURATION))
    radio.apply()
    return radio


@dataclass
class Alone:
    """The dataset and its feature store in a folder, with no server at all."""

    folder: Path

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder}/registry.db"

    @property
    def history_folder(self) -> Path:
        return self.folder / "tracks"

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.database_url)

    def configure(self, more: str = "") -> None:
        """Write feature_store.yaml and apply the view."""
        self.history_folder.mkdir(exist_ok=True)
        (self.folder / "feature_store.yaml").write_text(
            f"project: radio\nprovider: local\n"
            f"registry:\n  registry_type: sql\n  path: {self.database_url}\n"
            f"offline_store:\n  type: file\n"
            f"online_store:\n  type: sqlite\n  path: {self.folder}/online.db\n"
            f"entity_key_serialization_version: 3\n{more}"
        )
        self.store().apply(definitions(str(self.history_folder)))

    def store(self) -> FeatureStore:
        return FeatureStore(repo_path=str(self.folder))

    def write(self, key: str, energy: float, when: str = "2024-05-01") -> None:
        """Put a file with one row into the history."""
        row = {"id": key, "title": key, "energy": energy, "plays": 1, "live": False}
        times = {"event_timestamp": utc(when), "ingested_at": datetime.now(UTC)}
        name = f"{len(list(self.history_folder.iterdir()))}.parquet"
        pq.write_table(pa.Table.from_pylist([row | times], TRACKS.arrow_schema()), self.history_folder / name)

    def materializer(self) -> Materializer:
        history = History.from_folder(TRACKS, self.history_folder)
        progress = BackfillProgress(self.database_url)
        return Materializer(self.store(), self.ledger, progress, history, str(self.history_folder), "run")

    def verify(self, done: Materialization) -> tuple[int, int]:
        history = History.from_folder(TRACKS, self.history_folder)
        verifier = Verifier(self.store(), self.ledger, history, str(self.history_folder))
        return verifier.verify(done.file_names, 10)


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    """The feature store of somebody who has no servers."""
    alone = Alone(tmp_path)
    alone.configure()
    return alone


@pytest.fixture
def changes(
    make_radio: Callable[[str], Radio],
    servers: Servers,
    git_repository: GitRepository,
    tmp_path: Path,
) -> Changes:
    """The repository with its first commit, nothing applied."""
    radio = make_radio(CONFIGURATION)
    work = tmp_path / "work"
    work.mkdir()
    made = Changes(work, tmp_path, radio.registry_url, "s3://tracks/of/nobody/")
    name = git_repository.url.rsplit("/", 1)[-1]
    made.start(servers.home / "git" / name)
    return made


@pytest.fixture(scope="module")
def loaded() -> dict[str, Definitions]:
    """What the first commit defines: the same in every test, so it is loaded once."""
    return {}


@pytest.fixture
def applied(
    changes: Changes, servers: Servers, loaded: dict[str, Definitions], monkeypatch: pytest.MonkeyPatch
) -> Changes:
    """The repository, its first commit applied; further ones are applied without a process of their own."""

    def in_this_process(request: ApplyRequest, *others: object) -> Applied:
        return apply(ApplyRequest.from_json(request.to_json()))

    monkeypatch.setattr("feature_ops.feast.applying.run_apply", in_this_process)
    # Nobody reads meanwhile, so there is nobody to wait for.
    monkeypatch.setattr("feature_ops.feast.apply_process._READERS_CATCH_UP", 0)
    store = DefinitionsStore(servers.object_store)
    for commit, definitions in loaded.items():
        store.put(commit, definitions)
    commit = changes.run().facts["resolve_commits"]["commit"]
    if not loaded:
        loaded[commit] = store.get(commit)
    return changes

"""Make a world for one run of the matrix, and say what is in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Bool, Float32, Int64, String

from demo.connections import connection_variables
from demo.servers import Servers
from feature_ops.feast.ledger import Ledger
from feature_ops.object_store import split_uri
from feature_ops.settings import get_settings
from tests.integration.kill_matrix.etl import World

CONFIGURATION = """\
project: {project}
provider: local
registry:
  registry_type: sql
  path: ${{FEAST_REGISTRY_URL}}
  cache_ttl_seconds: 60
offline_store:
  type: file
online_store:
  type: redis
  connection_string: ${{FEAST_ONLINE_STORE}}
entity_key_serialization_version: 3
"""

Rows = list[tuple[str, str, float]]

# Keys, event times and energies: updates, late rows, new keys, a correction of a value.
SOURCES: dict[str, Rows] = {
    "run 0": [("a", "2024-01-01", 0.1), ("b", "2024-01-01", 0.2)],
    "run 1": [("a", "2024-02-01", 0.3), ("b", "2023-06-01", 0.4), ("c", "2024-01-15", 0.5)],
    "run 2": [
        ("a", "2024-02-01", 0.6),
        ("b", "2024-05-01", 0.7),
        ("c", "2023-12-01", 0.8),
        ("d", "2024-03-01", 0.9),
    ],
    "bad run": [("a", "2024-02-01", 7.0)],
}


def source_file(rows: Rows, padding: int = 0) -> bytes:
    """
    Return a parquet file of songs.

    :param padding: bytes that the file is to be larger, in a column that nobody declares.
    """
    songs = [
        {
            "spotify_id": key,
            "name": f"Song {key}",
            "artists": None,
            "event_timestamp": datetime.fromisoformat(when).replace(tzinfo=UTC),
            "is_explicit": False,
            "duration_ms": 1000,
            "key": 5,
            "mode": 1,
            "time_signature": 4,
            "loudness": -6.0,
            "tempo": 120.0,
            "energy": energy,
            **dict.fromkeys(
                ("danceability", "speechiness", "acousticness", "instrumentalness", "liveness", "valence"),
                0.5,
            ),
        }
        for key, when, energy in rows
    ]
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(songs)
    table = table.set_column(2, "artists", pa.nulls(len(songs), pa.string()))
    if padding:
        covers = [random.Random(1).randbytes(padding), *[b""] * (len(songs) - 1)]
        table = table.append_column("cover", pa.array(covers))
    pq.write_table(table, buffer)
    return buffer.getvalue()


def definitions(history: str) -> list[Any]:
    """Return the features of the songs, their source at a place of the test."""
    entity = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="song_properties",
        entities=[entity],
        schema=[
            Field(name="spotify_id", dtype=String),
            Field(name="energy", dtype=Float32),
            Field(name="key", dtype=Int64),
            Field(name="is_explicit", dtype=Bool),
        ],
        source=FileSource(
            name="song_properties_source",
            path=history,
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="ingested_at",
        ),
    )
    return [entity, view, FeatureService(name="serving_fs", features=[view])]


@contextmanager
def inside(world: World) -> Iterator[None]:
    """Be a worker of that world while the block runs."""
    before = dict(os.environ)
    os.environ.update(world.environment)
    get_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


@contextmanager
def writes_noted(note: Callable[[str], None]) -> Iterator[None]:
    """Tell of each request of this process that changes something on S3 or in a database."""
    from botocore.client import BaseClient
    from sqlalchemy import Engine, event

    call = BaseClient._make_api_call

    def noted_call(client: Any, operation: str, arguments: Any) -> Any:
        if not operation.startswith(("Get", "Head", "List")):
            note(operation)
        return call(client, operation, arguments)

    def noted_statement(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            note(statement)

    event.listen(Engine, "before_cursor_execute", noted_statement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noted_call)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", noted_statement)


class Worlds:
    """Makes worlds on the real servers."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._servers, self._folder = servers, folder

    def make(self, name: str) -> World:
        """Make one in which the features are applied and no run has been."""
        servers = self._servers
        folder = self._folder / name
        folder.mkdir()
        (folder / "feature_store.yaml").write_text(CONFIGURATION.format(project=name.replace("-", "_")))
        for bucket in (name, f"{name}-cache"):
            servers.create_bucket(bucket)
        feast = {
            "FEAST_REGISTRY_URL": servers.create_database(name.replace("-", "_")),
            "FEAST_ONLINE_STORE": servers.online_store,
        }
        connections = connection_variables(
            object_store=servers.object_store,
            git_url=servers.create_repository(name),
            git_login=servers.git_login,
            git_password=servers.git_password,
            feast_environment=feast,
        )
        settings = {
            "FEATURE_OPS_STORAGE_URI": f"s3://{name}",
            "FEATURE_OPS_DVC_REMOTE_URI": f"s3://{name}-cache",
            "FEATURE_OPS_FEATURE_REPO": str(folder),
            "FEATURE_OPS_WORK_DIR": str(folder / "work"),
        }
        world = World(
            name, str(folder), {**servers.object_store.environment(), **connections, **settings, **feast}
        )
        for run_id, rows in SOURCES.items():
            servers.object_store.put_bytes(source_file(rows), world.source(run_id))
        with inside(world):
            FeatureStore(repo_path=str(folder)).apply(definitions(f"s3://{name}/song_properties/"))
        return world

    def remove(self, world: World) -> None:
        """Remove what takes room on the servers."""
        for bucket in (world.name, f"{world.name}-cache"):
            self._servers.remove_bucket(bucket)
        self._servers.drop_database(world.name.replace("-", "_"))

    def state(self, world: World) -> dict[str, Any]:
        """
        Return all that is there, with what differs between any two runs left out.

        Left out are the world's own name, times of updates, hashes of commits, which hold a time, and what
        steps have told the page in Airflow, which is about runs and not about what they left.
        Of Feast's intervals the earliest start counts and that there are some: each load adds one.
        """
        return {
            "data": self._objects(world, f"s3://{world.name}/", skip=("inbox/", "_status/")),
            "DVC remote": self._objects(world, f"s3://{world.name}-cache/"),
            "git": self._git(world),
            "registry": self._registry(world),
            "ledger": self._ledger(world),
            "online": self._online(world),
            "work folders": sorted(path.name for path in Path(world.folder, "work").glob("*")),
        }

    def _objects(self, world: World, prefix: str, skip: tuple[str, ...] = ()) -> dict[str, Any]:
        store, found = self._servers.object_store, {}
        for file in store.list(prefix):
            key = split_uri(file.uri)[1]
            if not key.startswith(skip):
                body = store.client.get_object(Bucket=split_uri(file.uri)[0], Key=key)["Body"].read()
                metadata = {k: _masked(v, world) for k, v in (store.metadata(file.uri) or {}).items()}
                content = body.replace(world.name.encode(), b"WORLD")
                found[key] = [hashlib.sha256(content).hexdigest(), len(content), metadata]
        return found

    def _git(self, world: World) -> dict[str, Any]:
        bare = self._servers.home / "git" / f"{world.name}.git"

        def git(*arguments: str) -> str:
            done = subprocess.run(
                ["git", "-C", str(bare), *arguments], capture_output=True, text=True, check=True, timeout=60
            )
            return _masked(done.stdout, world)

        if not git("for-each-ref"):
            return {}
        git("fsck", "--strict", "--no-dangling")
        names = git("ls-tree", "-r", "--name-only", "main").splitlines()
        return {
            "branches": git("for-each-ref", "--format=%(refname)").split(),
            # Files that were accepted within one second of S3's clock are committed in either order.
            "messages": sorted(text.strip() for text in git("log", "--format=%B%x00", "main").split("\0")),
            "merges": git("log", "--merges", "--format=%H", "main"),
            "files": {name: git("show", f"main:{name}") for name in names},
        }

    def _registry(self, world: World) -> dict[str, Any]:
        with inside(world):
            store = FeatureStore(repo_path=world.folder)
            views = store.list_feature_views()
            return {
                "projects": len(store.list_projects()),
                "services": [service.name for service in store.list_feature_services()],
                "entities": [entity.name for entity in store.list_entities()],
                "sources": [source.name for source in store.list_data_sources()],
                "views": {view.name: [_masked(_spec(view), world), *_progress(view)] for view in views},
            }

    def _ledger(self, world: World) -> dict[str, list[Any]]:
        ledger = Ledger(world.environment["FEAST_REGISTRY_URL"])
        online = ledger.online(world.name.replace("-", "_"), "song_properties")
        return {
            name: [file.rows, str(file.first_event), str(file.last_event)]
            for name, file in sorted(online.items())
        }

    def _online(self, world: World) -> dict[str, Any]:
        import redis

        address, user, password = self._servers.online_store.split(",")
        project = world.name.replace("-", "_").encode()
        host, port = address.split(":")
        user, password = user.removeprefix("username="), password.removeprefix("password=")
        with redis.Redis(host=host, port=int(port), username=user, password=password) as client:
            return {
                key.removesuffix(project).hex(): {
                    name.hex(): value.hex() for name, value in sorted(client.hgetall(key).items())
                }
                for key in sorted(client.scan_iter(match=b"*" + project, count=1000))
            }


def _spec(view: FeatureView) -> str:
    spec = view.to_proto().spec
    spec.batch_source.ClearField("meta")
    return str(spec)


def _progress(view: FeatureView) -> tuple[str, str | None]:
    starts = [str(start) for start, _ in view.materialization_intervals]
    return view.state.name, min(starts, default=None)


def _masked(text: str, world: World) -> str:
    return text.replace(world.name, "WORLD").replace(world.name.replace("-", "_"), "WORLD")


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return what differs, place by place, short enough to read."""
    return [
        f"{place}: {json.dumps(found[place], sort_keys=True)[:1500]} instead of "
        f"{json.dumps(wanted[place], sort_keys=True)[:1500]}"
        for place in wanted
        if found[place] != wanted[place]
    ]

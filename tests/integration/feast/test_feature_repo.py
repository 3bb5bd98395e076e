"""The feature repository that a data scientist edits, with Feast's own commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from feast import FeatureStore
from s3fs import S3FileSystem
from song_properties import SONG_PROPERTIES

from demo.servers import Servers

FEATURE_REPO = Path(__file__).parents[3] / "feature_repo"
SONG = "1D2SVYXZdtNfJCg8wZWvVz"


@pytest.fixture
def environment(
    servers: Servers, registry_url: str, online_store: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """What a data scientist's shell has, and the bucket that the definitions name."""
    variables = {
        **servers.object_store.environment(),
        "FEAST_REGISTRY_URL": registry_url,
        "FEAST_ONLINE_STORE": online_store,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    servers.create_bucket("data")
    # s3fs remembers its connections and listings for as long as a process lives.
    S3FileSystem.clear_instance_cache()
    yield variables
    servers.remove_bucket("data")


@pytest.fixture
def feast(environment: dict[str, str]) -> Callable[[str], str]:
    """Run a command of Feast's in the repository; returns what it prints."""

    def run(command: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("feast")), command],
            cwd=FEATURE_REPO,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def publish(servers: Servers, folder: Path, *versions: tuple[str, str, float]) -> None:
    """Put a file with versions of the song into the history: event time, ingestion and energy."""
    columns = {column.name: 1 for column in SONG_PROPERTIES.columns}
    rows = [
        {
            **columns,
            "spotify_id": SONG,
            "name": "Live Forever",
            "artists": "Oasis",
            "is_explicit": False,
            "energy": energy,
            "event_timestamp": datetime.fromisoformat(event).replace(tzinfo=UTC),
            "ingested_at": datetime.fromisoformat(ingested).replace(tzinfo=UTC),
        }
        for event, ingested, energy in versions
    ]
    file = folder / f"{versions[0][1]}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SONG_PROPERTIES.arrow_schema()), file)
    servers.object_store.put_file_once(str(file), SONG_PROPERTIES.uri + file.name)


def test_the_definitions_can_be_applied_before_there_is_a_file(feast: Callable[[str], str]) -> None:
    feast("apply")
    plan = feast("plan")
    assert "No changes to registry" in plan
    assert "No changes to infrastructure" in plan


def test_nothing_in_the_registry_is_an_address_or_a_secret(
    feast: Callable[[str], str], environment: dict[str, str], servers: Servers, registry_url: str
) -> None:
    feast("apply")
    engine = sqlalchemy.create_engine(registry_url)
    stored = b""
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            rows = connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')).all()
            stored += b"".join(
                bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                for row in rows
                for value in row
            )
    engine.dispose()
    assert SONG_PROPERTIES.uri.encode() in stored, "the definitions are there at all"

    s3, registry = urlsplit(environment["AWS_ENDPOINT_URL"]), urlsplit(registry_url)
    valkey = environment["FEAST_ONLINE_STORE"].split(",")[0]
    for word in (
        s3.netloc,
        f":{s3.port}",
        f":{registry.port}",
        valkey,
        "127.0.0.1",
        "localhost",
        str(servers.object_store.secret_key),
        str(servers.object_store.access_key),
        str(registry.password),
    ):
        assert word.encode() not in stored, word


def energies(*label_times: str) -> list[float]:
    """Return what the five lines of a data scientist find for labels of the song."""
    store = FeatureStore(repo_path=str(FEATURE_REPO))
    labels = pd.DataFrame({"spotify_id": SONG, "event_timestamp": pd.to_datetime(label_times, utc=True)})
    service = store.get_feature_service("serving_fs")
    joined = store.get_historical_features(entity_df=labels, features=service).to_df()
    assert len(set(joined) - set(labels)) == 13
    return joined.sort_values("event_timestamp")["energy"].tolist()


def test_a7_d1_a_song_that_is_ingested_again_keeps_its_past(
    feast: Callable[[str], str], servers: Servers, tmp_path: Path
) -> None:
    feast("apply")
    publish(servers, tmp_path, ("2023-10-18", "2023-10-19", 0.25), ("2024-03-01", "2024-03-02", 0.5))
    publish(servers, tmp_path, ("2024-09-11", "2024-09-12", 0.75))

    assert energies("2023-12-01", "2024-04-01", "2024-10-01") == [0.25, 0.5, 0.75]


def test_of_two_versions_with_one_event_time_training_sees_the_later(
    feast: Callable[[str], str], servers: Servers, tmp_path: Path
) -> None:
    """Stock Feast's `file` store takes either: it sorts by ingestion, then by event, and not stably."""
    feast("apply")
    publish(servers, tmp_path, ("2023-10-18", "2023-10-19", 0.25), ("2024-03-01", "2023-10-19", 0.5))
    publish(servers, tmp_path, ("2024-09-11", "2024-09-12", 0.75), ("2024-03-01", "2024-09-12", 0.625))

    assert energies("2023-12-01", "2024-04-01", "2024-10-01") == [0.25, 0.625, 0.75]

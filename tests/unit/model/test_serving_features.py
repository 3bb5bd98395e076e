"""What is read for a model is what Feast answers to anybody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jukebox.serving.features import Definitions, FeatureReader, with_redis_limits
from tests.unit.model.serving_parts import REFS, FeatureRepository

SONGS = ("holes", "full", "nothing", "nobody", "full", "")


def reader(repository: FeatureRepository, folder: Path, refs: Sequence[str] = REFS) -> FeatureReader:
    definitions = folder / "definitions.pb"
    definitions.write_bytes(Definitions(repository.folder).copy())
    return FeatureReader(repository.folder, definitions, refs)


def read(reader: FeatureReader, songs: Sequence[str] = SONGS) -> list[tuple[list[float | None], int] | None]:
    """Return each song's values, null as None, and the second of its row."""
    return [
        found
        and (
            [None if math.isnan(value) else value for value in found.values],
            int(max(found.event_times)),
        )
        for found in reader.read(songs)
    ]


def asked(
    repository: FeatureRepository, refs: Sequence[str] = REFS, songs: Sequence[str] = SONGS
) -> list[tuple[list[float | None], int] | None]:
    """Return the same as Feast's own interface tells it; None for a song without row and value."""
    from feast import FeatureStore

    answer = (
        FeatureStore(repo_path=str(repository.folder))
        .get_online_features(list(refs), {"spotify_id": list(songs)}, full_feature_names=True)
        .to_dict(include_event_timestamps=True)
    )
    names = [ref.replace(":", "__") for ref in refs]
    rows = [
        ([answer[name][at] for name in names], max(answer[f"{name}__ts"][at] for name in names))
        for at in range(len(songs))
    ]
    return [row if row[1] or any(value is not None for value in row[0]) else None for row in rows]


def add_view(repository: FeatureRepository) -> None:
    """Define one more view of songs, and put one song into it."""
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Float32, String

    songs = pd.DataFrame({"spotify_id": ["full"], "event_timestamp": [datetime(2024, 5, 1, tzinfo=UTC)]})
    songs["plays"] = 7.5
    songs.to_parquet(repository.folder / "plays.parquet")
    music = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="plays",
        entities=[music],
        ttl=timedelta(0),
        schema=[Field(name="spotify_id", dtype=String), Field(name="plays", dtype=Float32)],
        source=FileSource(
            name="plays", path=str(repository.folder / "plays.parquet"), timestamp_field="event_timestamp"
        ),
    )
    store = FeatureStore(repo_path=str(repository.folder))
    store.apply([music, view])
    store.write_to_online_store("plays", songs)


def test_rows_of_one_view_are_those_that_feast_answers_with(
    feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    found = read(reader(feature_repository, tmp_path))
    assert found == asked(feature_repository)
    assert [row is None for row in found] == [False, False, False, True, False, True]


def test_the_order_is_the_models_and_not_the_stores(
    feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    refs = [REFS[2], REFS[0]]
    assert read(reader(feature_repository, tmp_path, refs)) == asked(feature_repository, refs)


def test_one_view_is_read_without_the_making_of_an_answer(
    feature_repository: FeatureRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feast import FeatureStore

    opened = reader(feature_repository, tmp_path)
    monkeypatch.delattr(FeatureStore, "get_online_features")
    assert read(opened, ["full"]) == [([pytest.approx(0.8), -6.5, 5], 1709294400)]


def test_features_of_two_views_are_asked_for_as_anybody_asks(
    own_feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    add_view(own_feature_repository)
    refs = [REFS[0], "plays:plays", REFS[1]]
    opened = reader(own_feature_repository, tmp_path, refs)
    found = read(opened)
    assert found == asked(own_feature_repository, refs)
    assert found[1] is not None
    assert found[1][0][1] == 7.5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"type": "redis", "connection_string": "valkey:6379"},
            "valkey:6379,socket_timeout=0.3,socket_connect_timeout=0.3,retry=null",
        ),
        (
            {"type": "redis", "connection_string": "a:1,b:2,ssl=true,password=x=y,socket_timeout=5"},
            "a:1,b:2,ssl=true,password=x=y,socket_timeout=5,socket_connect_timeout=0.3,retry=null",
        ),
        ({"type": "redis"}, "localhost:6379,socket_timeout=0.3,socket_connect_timeout=0.3,retry=null"),
    ],
)
def test_a_redis_store_has_limits_for_waiting_unless_it_sets_its_own(
    given: dict[str, str], expected: str
) -> None:
    assert with_redis_limits(given) == {**given, "connection_string": expected}


@pytest.mark.parametrize("given", [None, "sqlite", {"type": "sqlite", "path": "a"}, {"type": "postgres"}])
def test_the_settings_of_any_other_store_stay_as_they_are(given: object) -> None:
    assert with_redis_limits(given) == given


def test_a_redis_client_with_these_limits_does_not_retry() -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    settings = with_redis_limits({"type": "redis", "connection_string": "localhost:1"})
    client = RedisOnlineStore()._get_client(RedisOnlineStoreConfig(**settings))
    connection = client.connection_pool.make_connection()
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (0.3, 0.3)
    assert connection.retry.get_retries() == 0

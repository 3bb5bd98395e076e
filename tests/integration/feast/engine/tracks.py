"""A view of songs, its history, and the feature store that materializes it with one engine or another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Array, Bool, Float32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from tests.integration.feast.engine.stores import PROJECT, Held

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = NOON + timedelta(days=1)
TIMES = pa.timestamp("us", "UTC")
ENGINE = {"type": "feature_ops.feast.engine.ArrowEngine", "batch_rows": 40}
SONG = Entity(name="music", join_keys=["song"], value_type=ValueType.STRING)
SCHEMA = {"loudness": Float32, "plays": Int64, "live": Bool, "added": UnixTimestamp, "tags": Array(String)}


def history(songs: int = 100) -> pa.Table:
    """Four versions of every song; the second is the latest: two have its time, and it was noted later."""
    versions = []
    for version, (hour, noted) in enumerate([(0, 0), (2, 5), (2, 4), (1, 9)]):
        moment = NOON + timedelta(hours=hour)
        versions.append(
            pa.table(
                {
                    "id": [f"song {number} 🎵" for number in range(songs)],
                    "loud": pa.array([number + version / 10 for number in range(songs)], pa.float32()),
                    "plays": pa.array([2**40 + number + version for number in range(songs)], pa.int64()),
                    "live": [number % 2 == 0 for number in range(songs)],
                    "added": pa.array([moment] * songs, TIMES),
                    "tags": [["a", str(version)]] * songs,
                    "at": pa.array([moment] * songs, TIMES),
                    "noted": pa.array([NOON + timedelta(hours=noted)] * songs, TIMES),
                }
            )
        )
    return pa.concat_tables(versions)


def source(path: str, mapping: Mapping[str, str] | None = None) -> FileSource:
    return FileSource(
        name="tracks_source",
        path=path,
        timestamp_field="happened",
        created_timestamp_column="noted",
        field_mapping=dict(mapping or {"id": "song", "at": "happened", "loud": "loudness"}),
    )


def view(path: str, **options: Any) -> FeatureView:
    kind = options.pop("kind", FeatureView)
    return kind(
        name="tracks",
        entities=options.pop("entities", [SONG]),
        ttl=timedelta(days=3650),
        schema=options.pop(
            "schema",
            [
                Field(name="song", dtype=String),
                *(
                    Field(name={"loud": "loudness"}.get(name, name), dtype=kind_)
                    for name, kind_ in SCHEMA.items()
                ),
            ],
        ),
        source=source(path),
        **options,
    )


def feature_store(folder: Path, held: Held, engine: Any) -> FeatureStore:
    online = held.config.online_store.model_dump()
    folder.mkdir(exist_ok=True)
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=online,
        batch_engine=engine,
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def materialized(folder: Path, held: Held, engine: Any, definition: FeatureView) -> FeatureStore:
    store = feature_store(folder, held, engine)
    store.apply([SONG, definition])
    held.clear(definition)
    store.materialize(NOON - timedelta(days=1), END, ["tracks"])
    return store

"""Feature views of all kinds over one history, and the stores that make training sets of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    RequestSource,
)
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

OURS = "feature_ops.feast.offline.ArrowOfflineStore"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIMES = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "part": pa.int64(),
        "plays": pa.int64(),
        "loud": pa.float32(),
        "live": pa.bool_(),
        "title": pa.string(),
        "added": TIMES,
        "tags": pa.list_(pa.string()),
        "at": TIMES,
        "noted": TIMES,
    }
)
_MAPPING = {"id": "song", "loud": "loudness", "at": "happened"}
_SONG = Entity(name="music", join_keys=["song"], value_type=ValueType.STRING)
_PART = Entity(name="part", join_keys=["part"], value_type=ValueType.INT64)
_TYPES = {
    "plays": Int64,
    "loudness": Float32,
    "live": Bool,
    "title": String,
    "added": UnixTimestamp,
    "tags": Array(String),
}


def _view(path: str, name: str, entities: list[Entity], **options: Any) -> FeatureView:
    keys = {"song": String, "part": Int64}
    return FeatureView(
        name=name,
        entities=entities,
        ttl=options.get("ttl", timedelta(0)),
        schema=[
            *(Field(name=entity.join_key, dtype=keys[entity.join_key]) for entity in entities),
            *(Field(name=feature, dtype=_TYPES[feature]) for feature in options.get("features", _TYPES)),
        ],
        source=FileSource(
            name=f"{name}_source",
            path=path,
            timestamp_field="happened",
            created_timestamp_column=options.get("created", "noted"),
            field_mapping=_MAPPING,
            file_format=ParquetFormat(),  # the duckdb store reads no other
        ),
    )


def definitions(path: str) -> list[Any]:
    """Return what is applied; every view reads the same file, or folder."""
    songs = _view(path, "songs", [_SONG])

    # Inside, for the decorator makes the function one of __main__, where it is not found a second time.
    @on_demand_feature_view(
        sources=[songs, RequestSource(name="asked", schema=[Field(name="gain", dtype=Float64)])],
        schema=[Field(name="louder", dtype=Float64)],
    )
    def louder(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"louder": (inputs["loudness"] + inputs["gain"]).astype("float64")})

    return [
        _SONG,
        _PART,
        songs,
        _view(path, "fresh", [_SONG], ttl=timedelta(hours=2), features=["plays", "live"]),
        _view(path, "parts", [_SONG, _PART], features=["plays", "title"]),
        _view(path, "unordered", [_SONG], features=["plays"], created=""),
        _view(path, "everywhere", [], features=["plays", "title"]),
        louder,
        FeatureService(
            name="covers",
            features=[
                songs[["plays"]].with_name("heard"),
                songs[["plays", "title"]].with_name("covered").with_join_key_map({"song": "original"}),
            ],
        ),
    ]


def feature_store(folder: Path, kind: str, **settings: Any) -> FeatureStore:
    """Return the feature store with one offline store or another; all share the registry."""
    return FeatureStore(
        config=RepoConfig(
            project="radio",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": kind, **settings},
            entity_key_serialization_version=3,
        )
    )


def row(song: str | None, hour: float | None, **values: Any) -> dict[str, Any]:
    """Return a row of the history; what is not given is null."""
    return {"id": song, "at": None if hour is None else NOON + timedelta(hours=hour), **values}


def write(file: Path, rows: Sequence[dict[str, Any]], per_group: int = 100) -> None:
    """Make the rows the whole history."""
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), file, row_group_size=per_group)


def labels(*rows: tuple[Any, ...], columns: Sequence[str] = ("song",)) -> pd.DataFrame:
    """Return labels of key values and hours after noon."""
    frame = pd.DataFrame([values[:-1] for values in rows], columns=list(columns))
    hours = pd.to_timedelta([values[-1] for values in rows], unit="h")
    return frame.assign(event_timestamp=pd.Timestamp(NOON) + hours, label=range(len(rows)))

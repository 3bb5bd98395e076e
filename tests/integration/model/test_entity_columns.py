"""Services of every kind of view are trained on and served; what a song cannot give is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    ValueType,
)
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, String

from jukebox.errors import TrainingError
from jukebox.serving.problems import RefusedError
from jukebox.training_set import Features
from tests.unit.model.serving_parts import SEEN, FeatureRepository
from tests.unit.model.test_serving_features import reader

SONG = Entity(name="music", join_keys=["spotify_id"], value_type=ValueType.STRING)
ARTIST = Entity(name="artist", join_keys=["artist_id"], value_type=ValueType.STRING)
LOUD = [Field(name="loud", dtype=Float64)]


@pytest.fixture
def repository(tmp_path: Path) -> FeatureRepository:
    """A feature store with three songs online."""
    return FeatureRepository(tmp_path / "features")


def view(repository: FeatureRepository, name: str, *entities: Entity, **options: Any) -> FeatureView:
    keys = [Field(name=entity.join_key, dtype=String) for entity in entities]
    source = FileSource(
        name="songs", path=str(repository.folder / "songs.parquet"), timestamp_field="event_timestamp"
    )
    schema = [*keys, Field(name="energy", dtype=Float32)]
    return FeatureView(
        name=name, entities=list(entities), schema=schema, source=source, **{"ttl": timedelta(0), **options}
    )


def loud(songs: FeatureView, *more: Any, entities: Sequence[Entity] = ()) -> Any:
    @on_demand_feature_view(sources=[songs, *more], schema=LOUD, entities=list(entities))
    def loud(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"loud": inputs["energy"].astype("float64") * 2})

    return loud


def apply(repository: FeatureRepository, *objects: Any, service: Sequence[Any] = ()) -> FeatureStore:
    store = FeatureStore(repo_path=str(repository.folder))
    services = [FeatureService(name="fs", features=list(service))] if service else []
    store.apply([SONG, ARTIST, *objects, *services])
    return store


@pytest.mark.parametrize("entities", [(), (SONG,)], ids=["without entities", "with entities"])
def test_a_feature_computed_on_demand_is_served_by_the_key_of_its_inputs(
    repository: FeatureRepository, tmp_path: Path, entities: tuple[Entity, ...]
) -> None:
    songs = view(repository, "song_properties", SONG)
    computed = loud(songs, entities=entities)
    apply(repository, songs, computed, service=[computed])
    assert [feature.ref for feature in Features(str(repository.folder)).of_service("fs")] == ["loud:loud"]
    for refs in (["loud:loud"], ["song_properties:energy", "loud:loud"]):
        (full, nothing) = reader(repository, tmp_path, refs).read(["full", "nothing"])
        assert full is not None
        assert full.values[-1] == pytest.approx(1.6)
        assert nothing is None or math.isnan(nothing.values[-1])


def test_a_feature_of_no_entity_is_served_with_those_of_a_song(
    repository: FeatureRepository, tmp_path: Path
) -> None:
    songs, world = (
        view(repository, "song_properties", SONG),
        view(repository, "world"),
    )
    store = apply(repository, songs, world, service=[songs, world])
    store.materialize(SEEN - timedelta(days=1), SEEN + timedelta(days=1), ["world"])
    assert len(Features(str(repository.folder)).of_service("fs")) == 2
    (full,) = reader(repository, tmp_path, ["song_properties:energy", "world:energy"]).read(["full"])
    assert full is not None
    assert full.values == [pytest.approx(0.8), 0.0]


@pytest.mark.parametrize("case", ["another key", "a value of the request", "no key"])
def test_what_needs_more_than_a_song_is_refused_before_training_and_by_the_service(
    repository: FeatureRepository, tmp_path: Path, case: str
) -> None:
    songs = view(repository, "song_properties", SONG)
    volume = RequestSource(name="volume", schema=[Field(name="volume", dtype=Float64)])
    cases = {
        "another key": (view(repository, "by_artist", SONG, ARTIST), "artist_id, spotify_id"),
        "a value of the request": (loud(songs, volume), "spotify_id, volume"),
        "no key": (view(repository, "world"), "of no entity"),
    }
    read, needed = cases[case]
    apply(repository, songs, read, service=[read])
    with pytest.raises(TrainingError, match=f"fs needs the columns {needed}, and a song has spotify_id only"):
        Features(str(repository.folder)).of_service("fs")
    with pytest.raises(RefusedError, match="its features need the keys"):
        reader(repository, tmp_path, [f"{read.name}:{read.features[0].name}"])


def test_a_value_older_than_ttl_is_null_as_in_the_training_set(
    repository: FeatureRepository, tmp_path: Path
) -> None:
    refs = ["song_properties:energy"]
    for ttl, known in ((timedelta(0), True), (timedelta(days=36_500), True), (timedelta(hours=1), False)):
        apply(repository, view(repository, "song_properties", SONG, ttl=ttl))
        (full,) = reader(repository, tmp_path, refs).read(["full"])
        assert full is not None
        assert full.values == [pytest.approx(0.8)] if known else math.isnan(full.values[0])

"""What was loaded is read back as predictions read it, and a difference is a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, String

from feature_ops.exceptions import FeatureOpsError

if TYPE_CHECKING:
    from conftest import Radio


def tamper(radio: Radio, key: str, energy: float) -> None:
    """Overwrite a value online, as a write that went wrong would."""
    now = datetime.now(UTC)
    row = {"id": [key], "energy": [energy], "plays": [1], "live": [False]}
    frame = pd.DataFrame({**row, "event_timestamp": [now], "ingested_at": [now]})
    radio.store().write_to_online_store("tracks", frame)


def test_what_was_loaded_is_as_in_the_history(radio: Radio) -> None:
    radio.publish(("a", "2024-01-01", 0.1), ("a", "2024-05-01", 1 / 3), ("b", "2024-05-01", None))
    radio.publish(("c", "2024-05-01", 0.3))

    assert radio.verify(radio.materialize()) == {"keys": 3, "features": 3, "unchecked": []}
    assert radio.summary == "3 keys with 3 features read back: as in the history"


def test_a_tampered_value_fails_and_names_key_feature_and_both_values(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-01", 0.5))
    materialized = radio.materialize()
    tamper(radio, "b", 0.75)

    with pytest.raises(FeatureOpsError) as failure:
        radio.verify(materialized)

    assert "energy of b is 0.75 online, but 0.5 in the history" in str(failure.value)
    assert "of a is" not in str(failure.value)
    assert "full_refresh" in str(failure.value)


def test_a_value_that_got_lost_fails(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    materialized = radio.materialize()
    radio.servers.valkey.flush()
    with pytest.raises(FeatureOpsError, match=r"energy of a is None online, but 0\.5 in the history"):
        radio.verify(materialized)


def test_a_newer_load_in_between_is_no_difference(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    materialized = radio.materialize()
    radio.publish(("a", "2024-06-01", 0.25))
    assert radio.verify(materialized) == {"keys": 1, "features": 3, "unchecked": []}, (
        "uploaded, but not loaded yet"
    )

    radio.persons_store().materialize(datetime(2024, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert radio.verify(materialized) == {"keys": 1, "features": 3, "unchecked": []}, "loaded by a person"

    radio.materialize("second run")
    assert radio.verify(materialized) == {"keys": 1, "features": 3, "unchecked": []}, "loaded by a later run"


def test_features_of_other_entities_in_the_service_are_left_alone(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    other = Entity(name="band", join_keys=["band_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="bands",
        entities=[other],
        ttl=timedelta(0),
        schema=[Field(name="band_id", dtype=String), Field(name="fame", dtype=Float32)],
        source=FileSource(path="s3://elsewhere/bands/", timestamp_field="event_timestamp"),
    )
    store = radio.store()
    tracks = store.get_feature_view("tracks")
    store.apply([other, view, FeatureService(name="tracks_fs", features=[view, tracks[["energy", "live"]]])])

    assert radio.verify(radio.materialize()) == {"keys": 1, "features": 2, "unchecked": []}


def test_a_service_with_no_feature_of_the_dataset_is_an_error(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    materialized = radio.materialize()
    radio.store().apply([FeatureService(name="tracks_fs", features=[])])
    with pytest.raises(AirflowFailException, match="'tracks_fs' has no feature of tracks"):
        radio.verify(materialized)

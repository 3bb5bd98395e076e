"""Predictions never stop: not while values are loaded, and not after a load that died."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from feast.feature_view import FeatureViewState
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto

from feature_ops.advisory_lock import advisory_lock
from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from conftest import Radio


def force_state(radio: Radio, state: str) -> None:
    """Write a state into the registry as a load that died would leave it."""
    engine = sqlalchemy.create_engine(radio.registry_url)
    with engine.begin() as connection:
        (stored,) = connection.execute(
            sqlalchemy.text("SELECT feature_view_proto FROM feature_views WHERE feature_view_name = 'tracks'")
        ).one()
        view = FeatureViewProto.FromString(bytes(stored))
        view.meta.state = FeatureViewState[state].to_proto()
        connection.execute(
            sqlalchemy.text("UPDATE feature_views SET feature_view_proto = :proto"),
            {"proto": view.SerializeToString()},
        )
    engine.dispose()


def state_of(radio: Radio) -> str:
    return radio.store().get_feature_view("tracks").state.name


def test_a_view_left_in_materializing_is_served_meanwhile_and_healed_by_the_next_run(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    force_state(radio, "MATERIALIZING")
    assert state_of(radio) == "MATERIALIZING"
    assert radio.online("a") == {"a": 0.5}

    radio.publish(("b", "2024-06-01", 0.25))
    radio.materialize("second run")

    assert state_of(radio) == "AVAILABLE_ONLINE"
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.25}


def test_without_the_setting_such_a_view_is_not_served(radio: Radio) -> None:
    """Why feature_store.yaml sets serve_features_while_materializing."""
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    force_state(radio, "MATERIALIZING")
    file = radio.repo / "feature_store.yaml"
    file.write_text(file.read_text().replace("materializing: true", "materializing: false"))

    with pytest.raises(ValueError, match="MATERIALIZING"):
        radio.online("a")


def test_reads_go_on_while_values_are_loaded(radio: Radio) -> None:
    radio.publish(*((f"track {i}", "2024-05-01", 0.5) for i in range(500)))
    radio.materialize()
    radio.publish(*((f"track {i}", "2024-06-01", 0.25) for i in range(500)))
    seen: list[float | None] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.extend(radio.online("track 0", "track 499").values())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        radio.materialize("second run")
    finally:
        stop.set()
        reader.join(timeout=30)
    assert len(seen) > 2
    assert set(seen) <= {0.5, 0.25}


def test_a_load_waits_for_another_writer_and_says_so(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_OPS_LOCK_TIMEOUT", "0.2")
    get_settings.cache_clear()
    radio.publish(("a", datetime.now(UTC), 0.5))
    with (
        advisory_lock(radio.registry_url, "feast:radio", 5),
        pytest.raises(FeatureOpsError, match="held by another writer"),
    ):
        radio.materialize()
    assert radio.materialize()["rows"] == 1

"""A view that got a new feature is written over its whole history, in shards that survive a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from feast import FeatureView, Field
from feast.types import Bool, Float32, Int64, String

from feature_ops.commit_points import AFTER, CommitPoint, observed_by
from feature_ops.exceptions import NothingPendingError
from feature_ops.settings import get_settings
from tests.integration.feast.conftest import BY_STOCK_FEAST, CONFIGURATION

if TYPE_CHECKING:
    from conftest import Radio

BY_BOTH_ENGINES = pytest.mark.parametrize(
    "radio", [CONFIGURATION, BY_STOCK_FEAST], ids=["the Arrow engine", "stock Feast"], indirect=True
)
ALL = {"id": String, "energy": Float32, "plays": Int64, "live": Bool}


class KilledError(Exception):
    """Stands in for the end of the worker."""


def killed_after(point: CommitPoint, times: int) -> Callable[[CommitPoint, str], None]:
    seen = []

    def observe(now: CommitPoint, phase: str) -> None:
        if (now, phase) == (point, AFTER):
            seen.append(now)
            if len(seen) == times:
                raise KilledError

    return observe


def define(radio: Radio, *features: str, **types: Any) -> None:
    """Apply the view with some features, each of its usual or another type."""
    store = radio.store()
    view = store.get_feature_view("tracks")
    fields = [Field(name=name, dtype=types.get(name, ALL[name])) for name in ("id", *features)]
    defined = FeatureView(
        name="tracks", entities=[store.get_entity("track")], schema=fields, source=view.batch_source
    )
    service = store.get_feature_service("tracks_fs")
    service._features = [defined]
    store.apply([defined])
    store.apply([type(service)(name="tracks_fs", features=[defined])])


def online(radio: Radio, *keys: str) -> dict[str, list[Any]]:
    store = radio.store()
    rows = [{"id": key} for key in keys]
    return store.get_online_features(store.get_feature_service("tracks_fs"), rows).to_dict()


@BY_BOTH_ENGINES
def test_a_new_feature_comes_online_for_rows_that_were_loaded_long_before(radio: Radio) -> None:
    define(radio, "energy")
    radio.publish(("a", "2024-01-01", 0.1), ("bb", "2024-01-01", 0.2))
    radio.materialize("run 1")
    define(radio, "energy", "plays")
    assert online(radio, "a", "bb")["plays"] == [None, None]

    facts = radio.backfill("run 2")

    assert (facts["rows"], facts["views"]) == (2, ["tracks"])
    assert online(radio, "a", "bb")["plays"] == [1, 2]
    with pytest.raises(NothingPendingError, match="nothing to backfill: what tracks defines is online"):
        radio.materializer().backfill()
    assert radio.materialized_again() == "nothing to materialize: the one file of tracks is online"


def test_the_next_run_of_the_etl_backfills_what_nobody_has(radio: Radio) -> None:
    """A person's own `feast apply` is enough."""
    define(radio, "energy")
    radio.publish(("a", "2024-01-01", 0.1))
    radio.materialize("run 1")
    define(radio, "energy", "live")
    radio.publish(("b", "2024-01-02", 0.2))

    assert radio.materialize("run 2")["rows"] == 2
    assert online(radio, "a", "b")["live"] == [False, False]


def test_a_removed_feature_backfills_nothing(radio: Radio) -> None:
    radio.publish(("a", "2024-01-01", 0.1))
    radio.materialize("run 1")
    define(radio, "energy")

    with pytest.raises(NothingPendingError):
        radio.materializer().backfill()


def test_a_feature_that_was_away_while_rows_were_loaded_is_backfilled_when_it_returns(radio: Radio) -> None:
    radio.publish(("a", "2024-01-01", 0.1))
    radio.materialize("run 1")
    define(radio, "energy")
    radio.publish(("bb", "2024-01-02", 0.2))
    radio.materialize("run 2")
    define(radio, "energy", "plays")

    radio.backfill("run 3")

    assert online(radio, "a", "bb")["plays"] == [1, 2]


def test_another_type_is_written_over_values_of_the_same_event_time(radio: Radio) -> None:
    radio.publish(("bb", "2024-01-01", 0.1))
    radio.materialize("run 1")
    define(radio, "energy", "plays", "live", plays=Float32)

    radio.backfill("run 2")

    value = online(radio, "bb")["plays"][0]
    assert (value, type(value)) == (2.0, float)


@BY_BOTH_ENGINES
def test_a_killed_backfill_goes_on_and_loses_no_row_that_came_meanwhile(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(radio, "energy")
    keys = [f"key {number}" for number in range(36)]
    radio.publish(*((key, "2024-01-01", 0.1) for key in keys))
    radio.materialize("run 1")
    define(radio, "energy", "plays")
    monkeypatch.setenv("FEATURE_OPS_BACKFILL_SHARD_ROWS", "3")
    get_settings.cache_clear()

    with observed_by(killed_after(CommitPoint.BACKFILL_ADVANCED, 3)), pytest.raises(KilledError):
        radio.backfill("run 2")
    kept = radio.progress.unfinished("radio", "tracks")
    assert kept is not None
    assert (kept.done, kept.shards) == (3, 12)
    seen = online(radio, *keys)
    assert None not in seen["energy"]
    assert 0 < seen["plays"].count(None) < 36

    # Newer values, and a correction at the same time, for every key.
    radio.publish(
        *((key, "2024-02-01", 0.2) for key in keys[:18]), *((key, "2024-01-01", 0.3) for key in keys[18:])
    )
    facts = radio.materialize("run 3")

    assert facts["rows"] < 36 + 36
    seen = online(radio, *keys)
    assert seen["energy"] == pytest.approx([0.2] * 18 + [0.3] * 18)
    assert seen["plays"] == [len(key) for key in keys]
    assert radio.progress.unfinished("radio", "tracks") is None


@BY_BOTH_ENGINES
def test_a_full_refresh_fills_a_store_that_was_emptied_while_a_backfill_stood_unfinished(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"key {number}" for number in range(36)]
    radio.publish(*((key, "2024-01-01", 0.1) for key in keys))
    monkeypatch.setenv("FEATURE_OPS_BACKFILL_SHARD_ROWS", "3")
    get_settings.cache_clear()
    with observed_by(killed_after(CommitPoint.BACKFILL_ADVANCED, 3)), pytest.raises(KilledError):
        radio.materialize("run 1")
    radio.servers.valkey.flush()

    with observed_by(killed_after(CommitPoint.BACKFILL_ADVANCED, 1)), pytest.raises(KilledError):
        radio.materialize("run 2", full_refresh=True)
    # Its own retry goes on with what it began.
    assert radio.materialize("run 2", full_refresh=True)["rows"] < 36

    assert online(radio, *keys)["energy"] == pytest.approx([0.1] * 36)


@pytest.mark.parametrize("radio", [BY_STOCK_FEAST], indirect=True)
def test_progress_is_told_in_rows_percent_and_seconds(
    radio: Radio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FEATURE_OPS_BACKFILL_SHARD_ROWS", "1")
    get_settings.cache_clear()
    caplog.set_level("INFO")
    radio.publish(("a", "2024-01-01", 0.1), ("b", "2024-01-01", 0.2))
    radio.materialize("run 1")

    lines = [line for line in caplog.messages if "tracks: shard" in line]
    assert len(lines) == 2
    assert "shard 2 of 2, 2 of 2 rows (100 %)" in lines[-1]

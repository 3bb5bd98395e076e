"""The Arrow engine in the DAGs reads the files that are missing online, and those alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.feast.conftest import TRACKS, Alone, Radio

ENGINE = "batch_engine:\n  type: feature_ops.feast.engine.ArrowEngine\n"


def spoil(radio: Radio, name: str) -> None:
    """Make a file of the history unreadable, which fails whoever opens it."""
    radio.servers.object_store.put_bytes(b"no parquet", TRACKS.uri + name)


def test_files_that_are_online_are_not_opened_again(radio: Radio) -> None:
    old = radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-02", 0.25))
    radio.materialize()
    spoil(radio, old)
    radio.publish(("b", "2024-06-01", 0.75), ("c", "2024-06-01", 1.0))

    assert radio.materialize("second run")["rows"] == 2
    assert radio.online("a", "b", "c") == {"a": 0.5, "b": 0.75, "c": 1.0}


def test_a_late_row_is_the_only_one_that_is_read_and_written(radio: Radio) -> None:
    old = radio.publish(*((f"key {number}", "2024-05-01", 0.5) for number in range(50)))
    radio.materialize()
    spoil(radio, old)
    radio.publish(("key 7", "2020-01-01", 0.25))
    older = radio.materialize("second run")
    radio.publish(("late", "2020-01-02", 0.75))
    new = radio.materialize("third run")

    assert (older["rows"], new["rows"]) == (0, 1)
    assert radio.online("key 7", "late") == {"key 7": 0.5, "late": 0.75}


def test_of_two_rows_with_one_event_time_the_one_created_later_is_online_whichever_came_first(
    radio: Radio,
) -> None:
    radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-05-01", 0.25), ingested_at=datetime.now(UTC) - timedelta(days=1))
    radio.publish(("b", "2024-05-01", 0.25))

    assert radio.materialize("second run")["rows"] == 1
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.25}


def test_a_row_of_the_same_second_that_is_older_stays_out_where_the_store_keeps_whole_seconds(
    alone: Alone,
) -> None:
    alone.configure(ENGINE)
    for energy, when in ((0.5, "2024-05-01T12:00:00.700"), (0.25, "2024-05-01T12:00:00.200")):
        alone.write("a", energy, when)
        materializer = alone.materializer()
        materializer.record(materializer.load())

    store = alone.store()
    found = store.get_online_features(["tracks:energy"], {"id": ["a"]}).to_dict()
    assert found["energy"] == [0.5]


def test_what_is_loaded_is_told_with_its_rate(radio: Radio) -> None:
    radio.publish(*((f"key {number}", "2024-05-01", 0.5) for number in range(1_500)))
    radio.materialize()

    assert radio.summary.startswith("1,500 rows materialized into tracks")
    assert radio.summary.endswith(" rows/s)")


@pytest.mark.parametrize("named", ["local", "feature_ops.feast.engine.ArrowEngine"])
def test_the_engine_that_feature_store_yaml_names_is_used(
    radio: Radio, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with (radio.repo / "feature_store.yaml").open("a") as file:
        file.write(f"batch_engine:\n  type: {named}\n")
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()

    assert radio.online("a") == {"a": 0.5}
    assert any("tracks: shard 1 of 1" in line for line in caplog.messages) == (named == "local")

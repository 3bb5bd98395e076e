"""The DAG's materialization with the engine named in ``feature_store.yaml``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feature_ops.feast.engine.rows import EncodedRows
from feature_ops.feast.engine.valkey import ValkeyWriter
from tests.integration.feast.conftest import CONFIGURATION, Radio

WITH_ENGINE = CONFIGURATION + "batch_engine:\n  type: feature_ops.feast.engine.ArrowEngine\n"


@pytest.fixture
def radio(make_radio: Callable[[str], Radio]) -> Radio:
    radio = make_radio(WITH_ENGINE)
    radio.apply()
    return radio


def test_what_is_new_is_loaded_and_counted(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-02", 0.75))

    assert radio.materialize()["rows"] == 2
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.75}


def test_a_late_row_does_not_overwrite_a_newer_one(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-01-15", 0.25), ("b", "2020-01-01", 0.75))
    radio.materialize("second run")

    assert radio.online("a", "b") == {"a": 0.5, "b": 0.75}


def test_a_correction_with_the_same_event_time_is_loaded(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-05-01", 0.25))
    radio.materialize("second run")

    assert radio.online("a") == {"a": 0.25}


def test_a_load_that_dies_after_it_wrote_is_completed_by_the_next_run(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ValkeyWriter.write

    def write_and_die(self: ValkeyWriter, rows: EncodedRows) -> int:
        write(self, rows)
        raise ConnectionError("the worker is gone")

    radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-02", 0.75))
    with monkeypatch.context() as dying:
        dying.setattr(ValkeyWriter, "write", write_and_die)
        with pytest.raises(Exception, match="gone"):
            radio.materialize()

    assert radio.materialize("second run")["rows"] == 2
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.75}

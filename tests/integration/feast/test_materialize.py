"""What is missing comes online, all of it, once, and nothing older wins."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Radio

    from tests.support.warm_python import WarmPython


def test_d5_the_first_load_ever_takes_rows_of_any_age(radio: Radio) -> None:
    first = radio.publish(("old", "1999-12-31T23:59:59", 0.1), ("new", "2024-05-01", 0.2))
    second = radio.publish(("other", "2023-10-18", 0.3))

    facts = radio.materialize()

    assert radio.online("old", "new", "other") == pytest.approx({"old": 0.1, "new": 0.2, "other": 0.3})
    assert set(facts["files"]) == {first, second}
    assert facts["rows"] == 3
    assert facts["views"] == ["tracks"]
    assert facts["window"][0] == "1999-12-31T23:59:59+00:00"
    assert facts["commit"] == "c0ffee"


def test_a4_one_new_row_is_one_row_written(radio: Radio) -> None:
    radio.publish(*((f"track {i}", "2024-05-01", 0.5) for i in range(100)))
    radio.materialize()
    new = radio.publish(("new", datetime.now(UTC), 0.25))

    facts = radio.materialize("second run")

    assert facts["rows"] == 1
    assert facts["files"] == [new]
    assert radio.online("new", "track 0") == {"new": 0.25, "track 0": 0.5}
    assert re.fullmatch(
        r"1 row materialized into tracks, window \S+ \S+ → \S+ UTC, \d+\.\d s", radio.summary
    ), radio.summary
    assert radio.event["rows"] == 1
    assert radio.event["version"] == radio.event["commit"] == "c0ffee"
    assert radio.event["window"] == facts["window"]


def test_a6_nothing_missing_skips_and_emits_no_event(radio: Radio) -> None:
    for number in range(3):
        radio.publish((f"track {number}", "2024-05-01", 0.5))
    radio.materialize()

    with pytest.raises(AirflowSkipException):
        radio.materialize("second run")

    assert radio.summary == "nothing to materialize: all 3 files of tracks are online"
    assert radio.event == {}


def test_a_history_without_files_is_said_to_be_empty(radio: Radio) -> None:
    with pytest.raises(AirflowSkipException):
        radio.materialize()
    assert radio.summary == "nothing to materialize: tracks has no files yet"


def test_d4_a_late_row_is_loaded_however_old_it_is(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("late", "2020-01-01", 0.25))

    assert radio.materialize("second run")["rows"] == 1
    assert radio.online("late", "a") == {"late": 0.25, "a": 0.5}


def test_a_late_row_does_not_overwrite_a_newer_one(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-01-15", 0.25))

    assert radio.materialize("second run")["rows"] == 0
    assert radio.online("a") == {"a": 0.5}


def test_a_late_correction_does_not_bring_an_older_value_back(radio: Radio) -> None:
    """Rows are then written without a look at the store, so the window must make it right."""
    radio.publish(("a", "2024-01-15", 0.1), ("a", "2024-05-01", 0.5), ("b", "2024-01-20", 0.1))
    radio.materialize()
    radio.publish(("a", "2024-01-15", 0.25), ("b", "2024-01-20", 0.75))

    radio.materialize("second run")

    assert radio.online("a", "b") == {"a": 0.5, "b": 0.75}


def test_a_correction_with_the_same_event_time_wins(radio: Radio) -> None:
    keys = [f"track {number}" for number in range(200)]
    radio.publish(*((key, "2024-05-01", 0.5) for key in keys), ("other", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(*((key, "2024-05-01", 0.25) for key in keys))

    radio.materialize("second run")

    assert radio.online(*keys, "other") == {**dict.fromkeys(keys, 0.25), "other": 0.5}


def test_a_correction_wins_even_if_a_person_loaded_the_row_before_it(radio: Radio) -> None:
    """Both files are then missing in the ledger, and the store holds the first one's value."""
    radio.publish(("z", "2024-01-01", 0.1))
    radio.materialize()
    radio.publish(("a", "2024-05-01", 0.5))
    radio.persons_store().materialize(datetime(2024, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert radio.online("a") == {"a": 0.5}
    radio.publish(("a", "2024-05-01", 0.25))

    radio.materialize("second run")

    assert radio.online("a") == {"a": 0.25}


def test_full_refresh_writes_every_key_again(radio: Radio) -> None:
    radio.publish(("a", "2024-01-01", 0.1), ("a", "2024-05-01", 0.5), ("b", "2024-05-01", 0.5))
    radio.materialize()
    radio.servers.valkey.flush()
    assert radio.online("a") == {"a": None}

    assert radio.materialize("second run", full_refresh="True")["rows"] == 2
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.5}

    with pytest.raises(AirflowSkipException):
        radio.materialize("third run", full_refresh="False")


KILLED = """
import os, pkgutil, signal, sys
from types import SimpleNamespace
from feature_ops.datasets.dataset import Dataset
from feature_ops.feast.operators import MaterializeIncrementalOperator

owner, name = sys.argv[1].rsplit(".", 1)
owner = pkgutil.resolve_name(owner)
original = getattr(owner, name)

def work_and_die(*args, **kwargs):
    original(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, work_and_die)
state = SimpleNamespace(get=lambda key: None, set=lambda *args, **kwargs: None)
dataset = Dataset.model_validate_json(sys.argv[2])
operator = MaterializeIncrementalOperator(task_id="killed", dataset=dataset, full_refresh=True)
operator.execute({"dag_run": SimpleNamespace(run_id="killed run"), "task_state_store": state})
"""


def kill_after(radio: Radio, place: str, warm_python: WarmPython) -> None:
    """Run in a process of its own that is killed as soon as a function has done its work."""
    program = warm_python.start(KILLED, place, radio.dataset.model_dump_json())
    _, said = program.communicate(timeout=120)
    assert program.wait(120) == -signal.SIGKILL, said


@pytest.mark.parametrize(
    "place",
    [
        "feature_ops.feast.ledger.Ledger.forget",
        "feature_ops.feast.engine.valkey.ValkeyWriter.write",
        "feast.FeatureStore.materialize",
        "feature_ops.feast.ledger.Ledger.record",
    ],
)
def test_a_run_that_is_killed_is_completed_by_the_next(
    radio: Radio, place: str, warm_python: WarmPython
) -> None:
    radio.publish(("a", "2024-05-01", 0.5), ("d", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-05-01", 0.25), ("b", "2024-06-01", 0.75))

    kill_after(radio, place, warm_python)
    assert radio.online("d") == {"d": 0.5}, "predictions go on"

    radio.publish(("c", "2024-07-01", 0.125), ("a", "2024-05-01", 0.375))
    radio.materialize("next run")
    assert radio.online("a", "b", "c", "d") == {"a": 0.375, "b": 0.75, "c": 0.125, "d": 0.5}
    assert len(radio.ledger.online("radio", "tracks")) == 3
    assert radio.store().get_feature_view("tracks").state.name == "AVAILABLE_ONLINE"
    with pytest.raises(AirflowSkipException):
        radio.materialize("one more run")


@pytest.mark.parametrize(
    "place", ["feast.FeatureStore.materialize", "feature_ops.feast.ledger.Ledger.record"]
)
def test_a_try_that_dies_is_completed_by_its_retry_which_tells_what_was_done(
    radio: Radio, place: str
) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.publish(("a", "2024-05-01", 0.25))
    context = radio.new_context("the run")
    owner, name = place.rsplit(".", 1)
    original = getattr(pkgutil.resolve_name(owner), name)

    def work_and_die(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, work_and_die)
        with pytest.raises(KeyboardInterrupt):
            radio.materialize(context=context)

    assert radio.materialize(context=context)["rows"] == 1
    assert radio.summary.startswith("1 row materialized into tracks")
    assert radio.event["rows"] == 1
    assert radio.online("a") == {"a": 0.25}


def test_a_persons_own_materialize_in_between_loses_nothing(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    late = radio.publish(("late", "2020-01-01", 0.25))
    radio.persons_store().materialize_incremental(datetime.now(UTC))
    assert radio.online("late") == {"late": None}, "Feast alone does not load a late row"

    assert radio.materialize("second run")["files"] == [late]
    assert radio.online("late") == {"late": 0.25}


def test_d6_a_wrong_path_is_an_error_that_names_the_views(radio: Radio) -> None:
    radio.store().delete_feature_view("tracks")
    radio.apply(path="s3://elsewhere/tracks/", view="wrong")
    radio.publish(("a", "2024-05-01", 0.5))

    with pytest.raises(AirflowFailException) as failure:
        radio.materialize()

    for word in ("'radio'", radio.dataset.uri, "wrong reads s3://elsewhere/tracks/", "feast apply"):
        assert word in str(failure.value)
    assert radio.ledger.online("radio", "wrong") == {}


def test_d6_a_project_without_views_is_an_error(make_radio: Callable[[str], Radio], radio: Radio) -> None:
    other = make_radio((radio.repo / "feature_store.yaml").read_text().replace("radio", "typo"))
    with pytest.raises(AirflowFailException, match=r"'typo'.*it has no views"):
        other.materialize()


def test_a_view_that_was_created_anew_is_loaded_whole(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.store().delete_feature_view("tracks")
    radio.servers.valkey.flush()
    radio.apply()

    assert radio.materialize("second run")["rows"] == 1
    assert radio.online("a") == {"a": 0.5}


def test_a_second_view_of_the_dataset_is_loaded_when_it_appears(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.apply(view="more_tracks")

    assert radio.materialize("second run")["views"] == ["more_tracks"]


def test_applying_the_same_definitions_again_loads_nothing(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.materialize()
    radio.apply()
    with pytest.raises(AirflowSkipException):
        radio.materialize("second run")


def test_a_row_whose_time_has_not_come_waits_and_holds_up_no_other(radio: Radio) -> None:
    radio.publish(("a", "2024-05-01", 0.5))
    radio.publish(("future", datetime.now(UTC) + timedelta(hours=1), 0.25))

    assert radio.materialize()["rows"] == 1
    with pytest.raises(AirflowSkipException):
        radio.materialize("second run")
    assert radio.summary.startswith(
        "nothing to materialize yet: 1 file of tracks waits for event times up to"
    )


def test_a_row_from_a_clock_that_runs_ahead_is_waited_for(radio: Radio) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=1)
    radio.publish(("a", ahead, 0.5))

    facts = radio.materialize()

    assert ahead < datetime.fromisoformat(facts["window"][1]) <= datetime.now(UTC) + timedelta(seconds=0.5)
    assert radio.online("a") == {"a": 0.5}


def test_d13_the_zone_of_the_host_changes_nothing(radio: Radio) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=1)
    radio.publish(("a", moment, 0.5), ("b", "2024-05-01T00:00:00.000001", 0.25))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Seoul")
        time.tzset()
        try:
            facts = radio.materialize()
            online = radio.online("a", "b")
        finally:
            patch.undo()
            time.tzset()
    assert online == {"a": 0.5, "b": 0.25}
    assert facts["window"][0] == "2024-05-01T00:00:00.000001+00:00"


def test_a_file_as_registry_is_refused(make_radio: Callable[[str], Radio]) -> None:
    radio = make_radio("project: radio\nregistry: registry.db\nprovider: local\n")
    with pytest.raises(AirflowFailException, match=r"registry must be in a database.*registry_type: sql"):
        radio.materialize()


def test_d10_no_password_shows_where_the_registry_cannot_be_reached(radio: Radio) -> None:
    code = """
from feature_ops.feast.hook import FeastHook
from feature_ops.feast.ledger import Ledger
Ledger(FeastHook().registry_url()).online("radio", "tracks")
"""
    url = "postgresql+psycopg://feast:s3cr3t-word@127.0.0.1:1/feast"
    variables = {"FEAST_REGISTRY_URL": url, "FEAST_ONLINE_STORE": "127.0.0.1:1"}
    connection = json.dumps({"conn_type": "generic", "extra": {"environment": variables}})
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIRFLOW_CONN_FEAST_DEFAULT": connection, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode
    assert "refused" in done.stderr
    assert "s3cr3t-word" not in done.stdout + done.stderr

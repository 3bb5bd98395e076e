"""What a person types into the trigger form: accepted, refused or answered with a clear line."""

from __future__ import annotations

from typing import Any

import pytest

from demo.errors import DemoError
from demo.scene import DAG_ID, Scene
from feature_ops.form_errors import EXPECTED


@pytest.mark.parametrize(
    "conf",
    [
        {"dataset_url": 7},
        {"dataset_url": "https://ada:hunter2@example.org/songs.parquet"},
        {"full_refresh": "perhaps"},
        {"repo_url": ["a", "list"]},
        {"repo_url": "ssh://ada:hunter2@example.org/songs.git"},
        {"event_timestamp_column": "two words"},
    ],
)
def test_a_wrong_value_is_refused_with_what_to_enter_instead(conf: dict[str, Any], scene: Scene) -> None:
    (name,) = conf
    with pytest.raises(DemoError, match=r"answered 4\d\d") as refused:
        scene.api.trigger(DAG_ID, conf)
    assert EXPECTED[name] in str(refused.value)
    assert "hunter2" not in str(refused.value)


def failed_task(scene: Scene, conf: dict[str, Any]) -> tuple[str, str]:
    """Trigger a run that must fail; returns the task that failed and its summary."""
    run_id = scene.api.trigger(DAG_ID, conf)
    assert scene.api.wait(DAG_ID, run_id, timeout=120) == "failed"
    states = scene.api.task_states(DAG_ID, run_id)
    (task,) = [task_id for task_id, state in states.items() if state == "failed"]
    instances = scene.api.task_instances(DAG_ID, run_id)
    assert [i["try_number"] for i in instances if i["task_id"] == task] == [1], "bad input is not retried"
    return task, scene.api.summaries(DAG_ID, run_id)[task]


def test_an_empty_form_says_what_to_fill_in(scene: Scene) -> None:
    task, summary = failed_task(scene, {})
    assert task == "ingest"
    assert "dataset_url" in summary


def test_d12_the_reference_systems_name_of_the_parameter_is_accepted(scene: Scene) -> None:
    url = scene.put_in_inbox("named.parquet", scene.base.head(3))
    run_id = scene.api.trigger(DAG_ID, {"url_dataset": url})
    assert scene.api.wait(DAG_ID, run_id, timeout=120) == "success"
    assert scene.api.summaries(DAG_ID, run_id)["validate"] == "0 new rows, 3 already known"


def test_d2_the_whole_catalogue_again_takes_nothing_away(scene: Scene) -> None:
    """The reference system's daily run of the base file removed all that had come since."""
    song = scene.new.assign(spotify_id="CameAfterTheCatalogue0")
    scene.run_etl(scene.put_in_inbox("after.parquet", song))
    head, rows = scene.remote_head(), len(scene.history())

    again = scene.run_etl((scene.stack.inbox / "catalogue.parquet").as_uri())
    assert again.summaries["validate"] == f"0 new rows, {len(scene.base):,} already known"
    assert (scene.remote_head(), len(scene.history())) == (head, rows)
    assert scene.online(["CameAfterTheCatalogue0"]).notna().all(axis=None)


def test_a_bad_row_names_column_and_rule_and_changes_nothing(scene: Scene) -> None:
    head, rows = scene.remote_head(), len(scene.history())
    bad = scene.base.head(3).assign(danceability=[0.5, 1.5, 0.5])
    task, summary = failed_task(scene, {"dataset_url": scene.put_in_inbox("bad.parquet", bad)})
    assert task == "validate"
    assert "danceability" in summary
    assert "1.5" in summary
    assert "_quarantine/song_properties/" in summary
    assert (scene.remote_head(), len(scene.history())) == (head, rows)


def test_a_repository_on_a_strangers_host_never_gets_the_token(scene: Scene) -> None:
    head, rows = scene.remote_head(), len(scene.history())
    url = scene.put_in_inbox("stranger.parquet", scene.new.assign(spotify_id="StrangersRepository000"))
    task, summary = failed_task(scene, {"dataset_url": url, "repo_url": "http://127.0.0.2:9/jukebox.git"})
    assert task == "validate"
    assert "127.0.0.2" in summary
    assert (scene.remote_head(), len(scene.history())) == (head, rows)

    # The remedy of the message: leave repo_url empty.
    scene.run_etl(url)
    assert scene.online(["StrangersRepository000"]).notna().all(axis=None)

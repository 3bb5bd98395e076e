"""What is killed under a running scheduler, and the scheduler itself, cost time and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import psycopg

from demo.scene import DAG_ID, Scene
from demo.waiting import wait_until
from feature_ops.advisory_lock import advisory_lock


@contextmanager
def held_at(step: str, lock: str, scene: Scene, dataset_url: str) -> Iterator[str]:
    """Start a run that waits for a lock in the middle of a step while the block runs; gives its id."""
    registry = scene.stack.environment()["FEAST_REGISTRY_URL"]
    with (
        advisory_lock(registry, lock, timeout=60),
        psycopg.connect(registry.replace("+psycopg", ""), autocommit=True) as observer,
    ):
        run_id = scene.api.trigger(DAG_ID, {"dataset_url": dataset_url})
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: observer.execute(query).fetchone() == (1,), f"{step} waits for {lock}", 120, 0.2)
        yield run_id


def instance(scene: Scene, run_id: str, step: str) -> dict[str, str]:
    (found,) = [i for i in scene.api.task_instances(DAG_ID, run_id) if i["task_id"] == step]
    return found


def process_of(scene: Scene, run_id: str, step: str) -> int:
    """Return the process id of the task itself, which carries the task instance's id in its title."""
    title = f"airflow worker -- {instance(scene, run_id, step)['id']}"
    commands = {p.pid: " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])}
    (pid,) = [pid for pid, command in commands.items() if command.startswith(title)]
    return pid


def lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def ends_well(scene: Scene, run_id: str, song_id: str, rows: int) -> None:
    """Check that the run brought its one song, once, to all places."""
    assert scene.api.wait(DAG_ID, run_id, timeout=150) == "success"
    assert scene.api.summaries(DAG_ID, run_id)["validate"] == "1 new row, 0 already known"
    assert len(scene.history()) == rows + 1
    assert scene.online([song_id]).notna().all(axis=None)


def test_a_task_whose_process_is_killed_is_tried_again(scene: Scene) -> None:
    song, rows = scene.new.assign(spotify_id="KilledInTheMiddle00000"), len(scene.history())
    url = scene.put_in_inbox("killed.parquet", song)
    with held_at("materialize_incremental", "feast:music", scene, url) as run_id:
        os.kill(process_of(scene, run_id, "materialize_incremental"), signal.SIGKILL)
        wait_until(
            lambda: instance(scene, run_id, "materialize_incremental")["state"] == "up_for_retry",
            "the scheduler sees it",
            30,
            0.3,
        )
    ends_well(scene, run_id, "KilledInTheMiddle00000", rows)
    assert instance(scene, run_id, "materialize_incremental")["try_number"] == 2


def test_a_scheduler_that_is_killed_with_its_tasks_goes_on_once_it_is_started_again(scene: Scene) -> None:
    song, rows = scene.new.assign(spotify_id="SchedulerWasKilled0000"), len(scene.history())
    url = scene.put_in_inbox("scheduler.parquet", song)
    with held_at("validate", "dataset:song_properties", scene, url) as run_id:
        task = process_of(scene, run_id, "validate")
        scene.stack.airflow.kill_component("scheduler")
        assert not lives(task)
    # It takes over what a scheduler left behind that was silent for this long; usually 30 seconds.
    scene.stack.airflow.start_component(
        "scheduler",
        AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="15",
        AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="5",
    )
    ends_well(scene, run_id, "SchedulerWasKilled0000", rows)

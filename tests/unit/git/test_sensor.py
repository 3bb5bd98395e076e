"""The git sensor: in a worker, in the triggerer, and in the example DAG."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from feature_ops.git.errors import UnreachableError
from feature_ops.git.example_dags import example_git_paths
from feature_ops.git.heads import WatchedRepository
from feature_ops.git.sensor import GitPathSensor
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.watching import triggerer, until

PATHS = ["feature_repo/**"]


class State(dict[str, Any]):
    """Stands in for the task's state store, which outlives a try."""

    def set(self, key: str, value: Any, retention: Any = None) -> None:
        self[key] = value


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    """A repository with one commit, to which the git connection leads."""
    made = Clone(tmp_path)
    made.commit("first", {"feature_repo/a.py": "1", "README.md": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": made.url}))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    yield made
    get_settings.cache_clear()


@pytest.fixture
def context() -> Any:
    return {"task_state_store": State()}


def sensor(**arguments: Any) -> GitPathSensor:
    defaults = {"task_id": "wait", "paths": PATHS, "poke_interval": 0.03, "timeout": 30.0}
    return GitPathSensor(**{**defaults, **arguments})


def deferred(waiting: GitPathSensor, context: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        waiting.execute(context)
    return caught.value


def test_a_change_ends_the_wait_in_a_worker(
    clone: Clone, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    real = WatchedRepository.heads

    def pushed_between_looks(self: WatchedRepository) -> dict[str, str]:
        looks.append(1)
        if len(looks) == 2:
            clone.commit("docs", {"README.md": "2"})
        if len(looks) == 4:
            clone.commit("Louder", {"feature_repo/a.py": "2"})
        return real(self)

    monkeypatch.setattr(WatchedRepository, "heads", pushed_between_looks)
    event = sensor().execute(context)
    assert (event["subject"], event["paths"], len(looks)) == ("Louder", ["feature_repo/a.py"], 4)
    assert list(get_settings().work_dir.iterdir()) == []


def test_no_change_runs_into_the_timeout(clone: Clone, context: Any) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sensor(timeout=0.1).execute(context)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_change_since_a_given_commit_needs_no_wait(clone: Clone, context: Any, deferrable: bool) -> None:
    clone.git("tag", "released")
    clone.git("push", "-q", "origin", "released")
    old = clone.git("rev-parse", "HEAD")
    clone.commit("next", {"feature_repo/a.py": "2"})
    event = sensor(since="released", deferrable=deferrable).execute(context)
    assert event["old"] == old


def test_a_retry_compares_with_the_commit_of_the_first_try(clone: Clone, context: Any) -> None:
    old = clone.git("rev-parse", "HEAD")
    deferred(sensor(deferrable=True), context)
    clone.commit("while the worker was dead", {"feature_repo/a.py": "2"})
    assert sensor(deferrable=True).execute(context)["old"] == old


def test_what_cannot_work_fails_at_once_and_without_a_retry(clone: Clone, context: Any) -> None:
    for arguments in ({"since": "nowhere"}, {"paths": []}, {"repo_url": "http://127.0.0.1:1/x.git"}):
        with pytest.raises(AirflowFailException):
            sensor(deferrable=True, **arguments).execute(context)


def test_a_server_that_is_away_is_worth_a_retry(
    clone: Clone, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "http://127.0.0.1:9/jukebox.git"
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": host}))
    with pytest.raises(UnreachableError):
        sensor(deferrable=True).execute(context)


def test_the_example_waits_in_the_triggerer_and_tells_the_change(clone: Clone, context: Any) -> None:
    dag = example_git_paths.changed.dag
    waiting = dag.get_task("wait_for_change")
    waiting.poke_interval = 0.03
    rest = deferred(waiting, context)
    assert rest.timeout == timedelta(hours=20)
    assert dag.get_task("tell_change").upstream_task_ids == {"wait_for_change"}

    async def wait() -> dict[str, Any]:
        async with triggerer() as running:
            events = running.start(rest.trigger)
            asyncio.get_running_loop().run_in_executor(
                None, clone.commit, "Louder", {"feature_repo/a.py": "2"}
            )
            await until(lambda: events, "an event")
            return events[0]

    change = getattr(waiting, rest.method_name)(context, event=asyncio.run(wait()))
    told = dag.get_task("tell_change").python_callable(change)
    assert told == "Ada Ü: Louder (feature_repo/a.py)"
    assert "(Ada Ü: Louder); changed: feature_repo/a.py" in context["task_state_store"]["summary"]


def test_the_example_by_commit_tells_what_its_events_hold(clone: Clone) -> None:
    from types import SimpleNamespace

    asset = example_git_paths.FEATURE_DEFINITIONS
    payload = {"author": "Ada", "subject": "Louder", "path": "feature_repo/a.py"}
    extras = [{"from_trigger": True, "payload": payload}, {"by": "hand"}]
    events = {asset: [SimpleNamespace(extra=extra) for extra in extras]}
    told = example_git_paths.tell.function(triggering_asset_events=events)
    assert told == ["Ada: Louder (feature_repo/a.py)"]


def test_the_example_is_not_among_the_dags_of_production() -> None:
    project = Path(__file__).resolve().parents[3]
    assert (project / "dags") not in Path(example_git_paths.__file__).parents
    assert "feature_ops/" in (project / "plugins" / ".airflowignore").read_text().splitlines()

"""The page's picture follows from what the steps have told."""

from __future__ import annotations

from typing import Any

from feature_ops.ui.picture import Addresses, picture
from feature_ops.ui.status import Ending, State, TaskStatus

ADDRESSES = Addresses(
    "http://git/{commit}", "http://mlflow", {"champion": "http://production", "test": "http://test"}
)
COMMIT = {"commit": "a" * 40, "subject": "Drop loudness", "author": "Ada", "changes": ["− loudness"]}


def view(name: str = "songs", **facts: Any) -> dict[str, Any]:
    return {"name": name, "dataset": "songs", "rows": 10, **facts}


def task(task_id: str, *endings: tuple[str, State, str, dict[str, Any]], dag_id: str = "etl") -> TaskStatus:
    """Make the status of a task whose runs ended in that order."""
    status = TaskStatus(dag_id, task_id)
    for at, state, summary, facts in endings:
        status = status.ended(Ending(f"run {at}", state, summary, facts, f"2026-01-01T00:{at}:00+00:00"))
    return status


def seen(*tasks: TaskStatus) -> dict[str, Any]:
    return picture(tasks, ADDRESSES)


def test_nothing_is_shown_of_an_empty_store() -> None:
    shown = seen()
    assert shown["views"] == shown["models"] == []
    assert shown["commits"] == {"applied": None, "failed": None, "newest": None}


def test_a_view_is_as_the_newest_step_told_whichever_dag_it_is_of() -> None:
    loaded = {"datasets": ["songs"], "online": [view()], "window": ["2025", "2026"]}
    load = task("materialize", ("01", "success", "10 rows", loaded))
    backfill = task(
        "backfill",
        ("02", "success", "12 rows", {"datasets": ["songs"], "views": ["songs"], "online": [view(rows=12)]}),
        dag_id="training",
    )
    (shown,) = seen(load, backfill)["views"]
    assert (shown["rows"], shown["loaded_by"]) == (12, "etl")
    assert [run["summary"] for run in shown["runs"]] == ["12 rows", "10 rows"]


def test_a_view_that_is_gone_is_not_shown_any_more() -> None:
    before = {"datasets": ["songs"], "online": [view(), view("gone")]}
    load = task("materialize", ("01", "success", "", before))
    backfill = task("backfill", ("02", "success", "", {"datasets": ["songs"], "online": [view()]}))
    assert [shown["name"] for shown in seen(load, backfill)["views"]] == ["songs"]


def test_a_view_that_was_defined_anew_is_shown_so_though_nothing_was_loaded() -> None:
    load = task(
        "materialize", ("01", "success", "", {"datasets": ["songs"], "online": [view(features=["a"])]})
    )
    narrower = {"datasets": ["songs"], "online": [view(features=[])]}
    backfill = task("backfill", ("02", "skipped", "nothing to backfill", narrower))
    (shown,) = seen(load, backfill)["views"]
    assert shown["features"] == []


def test_a_failed_load_is_among_the_runs_and_leaves_the_view_as_it_was() -> None:
    load = task(
        "materialize",
        ("01", "success", "10 rows", {"datasets": ["songs"], "online": [view()]}),
        ("02", "failed", "Valkey is away", {"datasets": ["songs"]}),
    )
    (shown,) = seen(load)["views"]
    assert shown["rows"] == 10
    assert [(run["state"], run["run"]) for run in shown["runs"]] == [
        ("failed", "dags/etl/runs/run%2002/tasks/materialize"),
        ("success", "dags/etl/runs/run%2001/tasks/materialize"),
    ]


def test_the_applied_commit_comes_with_its_changes_and_its_address() -> None:
    commits = seen(
        task("diff", ("01", "success", "breaking: …", {**COMMIT, "applied": None, "needed": True})),
        task("apply", ("02", "success", "applied", {**COMMIT, "verdict": "breaking"})),
    )["commits"]
    assert commits["applied"]["subject"] == "Drop loudness"
    assert commits["applied"]["verdict"] == "breaking"
    assert commits["applied"]["changes"] == ["− loudness"]
    assert commits["applied"]["url"] == "http://git/" + "a" * 40
    assert commits["failed"] is commits["newest"] is None


def test_a_commit_that_failed_is_told_until_a_newer_one_is_well() -> None:
    broken = {"commit": "b" * 40, "subject": "Oops", "author": "Bob", "applied": "a" * 40}
    apply = task("apply", ("02", "success", "applied", COMMIT))
    diff = task("diff", ("03", "failed", "feature_service.py:12: no", broken))
    commits = seen(apply, diff)["commits"]
    assert commits["failed"]["summary"] == "feature_service.py:12: no"
    assert commits["failed"]["commit"] == "b" * 40
    assert commits["applied"]["commit"] == "a" * 40

    mended = diff.ended(Ending("run 04", "success", "none: …", {**broken, "needed": False}, "2026-01-02"))
    commits = seen(apply, mended)["commits"]
    assert commits["failed"] is None
    assert commits["newest"]["summary"] == "none: …"


def test_an_apply_that_failed_is_told_with_its_reason() -> None:
    diff = task("diff", ("01", "success", "breaking", {**COMMIT, "applied": None, "needed": True}))
    apply = task("apply", ("02", "failed", "commit a removes what is still in use", COMMIT))
    commits = seen(diff, apply)["commits"]
    assert commits["failed"]["summary"] == "commit a removes what is still in use"
    assert commits["applied"] is None


def alias(version: str) -> dict[str, Any]:
    return {
        "version": version,
        "commit": "c" * 40,
        "features": ["songs:energy"],
        "metrics": {"log_loss": 1.5},
    }


def test_a_models_aliases_are_as_the_last_move_told() -> None:
    deployed = {"model": "jukebox", "aliases": {"test": alias("2"), "champion": alias("1")}}
    promoted = {"model": "jukebox", "version": "2", "by": "Ada", "why": "better", "instead_of": "1"}
    both = {"test": alias("2"), "champion": alias("2")}
    (model,) = seen(
        task("deploy_test", ("01", "success", "", deployed)),
        task("promote", ("02", "success", "", {**promoted, "aliases": both})),
    )["models"]
    assert [(one["alias"], one["version"], one["service"]) for one in model["versions"]] == [
        ("champion", "2", "http://production"),
        ("test", "2", "http://test"),
    ]
    assert model["versions"][0]["url"] == "http://mlflow/#/models/jukebox/versions/2"
    assert model["versions"][0]["metrics"] == {"log_loss": 1.5}
    assert (model["promoted"]["by"], model["promoted"]["why"]) == ("Ada", "better")
    assert model["failed"] is None


def test_a_missing_champion_is_shown_until_a_version_is_promoted() -> None:
    deployed = {
        "model": "jukebox",
        "aliases": {"test": alias("2")},
        "champion_missing": "missing",
    }
    deploy = task("deploy_test", ("01", "success", "", deployed))
    assert seen(deploy)["models"][0]["champion_missing"] == "missing"

    promoted = {"model": "jukebox", "version": "2", "by": "Ada", "why": "", "instead_of": None}
    both = {"test": alias("2"), "champion": alias("2")}
    promote = task("promote", ("02", "success", "", {**promoted, "aliases": both}))
    assert seen(deploy, promote)["models"][0]["champion_missing"] is None


def test_an_accepted_regression_is_shown_with_its_version() -> None:
    accepted = {"reason": "the licence ends", "user": "ada"}
    deployed = {"model": "jukebox", "aliases": {"test": {**alias("2"), "accepted_regression": accepted}}}
    (model,) = seen(task("deploy_test", ("01", "success", "", deployed)))["models"]
    assert model["versions"][0]["accepted_regression"] == accepted


def test_a_refused_model_is_told_until_a_newer_one_is_well() -> None:
    deploy = task("deploy_test", ("01", "success", "", {"model": "jukebox", "aliases": {"test": alias("1")}}))
    evaluate = task("evaluate", ("02", "failed", "log-loss rises", {"model": "jukebox"}))
    (model,) = seen(deploy, evaluate)["models"]
    assert model["failed"]["summary"] == "log-loss rises"
    assert [one["version"] for one in model["versions"]] == ["1"]

    newer = Ending(
        "run 03", "success", "", {"model": "jukebox", "aliases": {"test": alias("2")}}, "2026-01-02"
    )
    (model,) = seen(deploy.ended(newer), evaluate)["models"]
    assert model["failed"] is None


def test_there_are_no_links_where_nothing_is_set() -> None:
    deployed = {"model": "jukebox", "aliases": {"test": alias("1")}}
    nowhere = Addresses(None, None, {"champion": None, "test": None})
    shown = picture([task("deploy_test", ("01", "success", "", deployed))], nowhere)
    (version,) = shown["models"][0]["versions"]
    assert version["url"] is version["commit_url"] is version["service"] is None
    assert shown["services"] == []


def test_a_commit_that_was_applied_before_anything_was_told_is_known_by_its_hash() -> None:
    diff = task("diff", ("01", "success", "none: …", {**COMMIT, "applied": "d" * 40, "needed": False}))
    assert seen(diff)["commits"]["applied"] == {"commit": "d" * 40, "url": "http://git/" + "d" * 40}

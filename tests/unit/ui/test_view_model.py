"""The page's view model follows from what the steps have reported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from feature_ops.ui.quarantine import quarantined
from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model import Addresses, view_model
from feature_ops.ui.views import load_point
from tests.unit.ui.endings import ending, task

ADDRESSES = Addresses(
    "http://git/{commit}", "http://mlflow", {"champion": "http://production", "test": "http://test"}
)
COMMIT = {"commit": "a" * 40, "subject": "Drop loudness", "author": "Ada", "changes": ["− loudness"]}
OTHER = {"commit": "b" * 40, "subject": "Oops", "author": "Bob"}
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def view(name: str = "songs", **facts: Any) -> dict[str, Any]:
    features = [{"name": "energy", "type": "Float32"}]
    return {"name": name, "dataset": "songs", "rows": 10, "features": features, "newest_event": None, **facts}


def seen(
    *tasks: TaskStatus, deployed: dict[str, Any] | None = None, since: datetime = LONG_AGO
) -> dict[str, Any]:
    return view_model(tasks, ADDRESSES, deployed or {}, since)


def loaded(*views: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"datasets": ["songs"], "online": list(views or [view()]), **facts}


def test_nothing_is_shown_of_an_empty_store() -> None:
    shown = seen()
    assert (
        shown["views"] == shown["models"] == shown["pipelines"] == shown["quarantine"] == shown["loads"] == []
    )
    assert shown["commits"] == {"applied": None, "evaluated": [], "newest": None}


# --- pipelines ---------------------------------------------------------------------------------


def states(shown: dict[str, Any], dag: str = "etl") -> list[tuple[str, str]]:
    (pipeline,) = [one for one in shown["pipelines"] if one["dag"] == dag]
    return [(run["state"], run["task"]) for run in pipeline["runs"]]


REFUSED = quarantined(
    "songs", "http://a/songs.parquet", ["loudness: 3 values above 10"], "s3://data/_q/report.json"
)


@pytest.mark.parametrize(
    ("last_task", "state", "facts", "shown"),
    [
        ("ingest", "failed", {}, "failed"),
        ("validate", "failed", REFUSED, "quarantined"),
        ("version_with_dvc", "failed", {}, "failed"),
        ("upload_to_s3", "failed", {}, "failed"),
        ("materialize", "failed", {"datasets": ["songs"]}, "failed"),
        ("materialize", "skipped", loaded(), "skipped"),
        ("verify_online", "failed", {}, "failed"),
        ("verify_online", "success", {}, "success"),
    ],
)
def test_a_pipeline_shows_how_its_last_run_ended_at_whichever_task(
    last_task: str, state: Any, facts: dict[str, Any], shown: str
) -> None:
    """Six bad runs in a row after a good one are six bad runs on the page."""
    order = ["ingest", "validate", "version_with_dvc", "upload_to_s3", "materialize", "verify_online"]
    tasks = []
    for at, task_id in enumerate(order):
        status = task(task_id).ended(ending(f"0{at}", "success", run_id="good"))
        for run in range(1, 7):
            if at < order.index(last_task):
                status = status.ended(ending(f"{run * 6 + at:02}", "success", run_id=f"run {run}"))
            elif at == order.index(last_task):
                status = status.ended(
                    ending(f"{run * 6 + at:02}", state, "the line", facts, run_id=f"run {run}")
                )
        tasks.append(status)
    (pipeline,) = seen(*tasks)["pipelines"]
    last = pipeline["last"]
    assert (last["state"], last["task"], last["summary"]) == (shown, last_task, "the line")
    assert last["run"] == f"dags/etl/runs/run%206/tasks/{last_task}"
    assert [run["state"] for run in pipeline["runs"]] == [shown] * 6 + ["success"]
    assert pipeline["failures_in_a_row"] == (6 if shown in ("failed", "quarantined") else 0)
    assert [step["task"] for step in last["steps"]] == order[: order.index(last_task) + 1]


def test_a_failure_that_a_later_try_repaired_is_not_shown() -> None:
    first = task("ingest", ("01", "success", "", {}))
    repaired = task("validate").ended(ending("02", "failed", run_id="run 01"))
    repaired = repaired.ended(ending("03", "success", run_id="run 01"))
    assert states(seen(first, repaired)) == [("success", "validate")]


def test_an_old_run_that_is_cleared_does_not_become_the_last_run() -> None:
    status = task("load")
    status = status.ended(ending("01", "success", run_id="first", run_after="2026-01-01T00:00:00.000+00:00"))
    status = status.ended(ending("02", "failed", run_id="second", run_after="2026-01-01T00:02:00.000+00:00"))
    status = status.ended(ending("03", "success", run_id="first", run_after="2026-01-01T00:00:00.000+00:00"))
    assert [state for state, _ in states(seen(status))] == ["failed", "success"]


def test_one_failed_instance_of_a_mapped_task_fails_the_run() -> None:
    status = task("ingest")
    for index, state in enumerate(("success", "failed", "success")):
        status = status.ended(ending(f"0{index}", state, run_id="one", map_index=index))  # type: ignore[arg-type]
    shown = seen(status)
    assert states(shown) == [("failed", "ingest")]
    assert shown["pipelines"][0]["last"]["run"].endswith("/tasks/ingest/mapped/1")


# --- views -------------------------------------------------------------------------------------


def test_a_view_is_as_the_newest_step_told_whichever_dag_it_is_of() -> None:
    load = task("materialize", ("01", "success", "10 rows", loaded(window=["2025", "2026"])))
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


def test_failed_views_are_shown_until_a_load_goes_well() -> None:
    failed = {"failed_views": [{"view": "songs", "reason": "songs.energy: 3 nulls in a join key"}]}
    load = task(
        "materialize",
        ("01", "success", "", loaded()),
        ("02", "failed", "", {"datasets": ["songs"], **failed}),
    )
    (shown,) = seen(load)["views"]
    assert shown["failed"]["reason"] == "songs.energy: 3 nulls in a join key"
    assert shown["failed"]["run"] == "dags/etl/runs/run%2002/tasks/materialize"
    # A failure of the store says nothing of the view.
    away = load.ended(ending("03", "failed", "Valkey is down", {"datasets": ["songs"]}))
    assert seen(away)["views"][0]["failed"]["reason"]
    for state in ("success", "skipped"):
        (shown,) = seen(away.ended(ending("04", state, "", loaded())))["views"]  # type: ignore[arg-type]
        assert shown["failed"] is None


@pytest.mark.parametrize(
    ("unchecked", "shown"),
    [
        (["songs:energy"], ["energy"]),
        ([{"feature": "songs:energy", "reason": "no history"}], ["energy: no history"]),
        ([{"view": "songs", "feature": "energy", "reason": "no history"}], ["energy: no history"]),
        ([{"view": "songs", "reason": "pushed only"}], ["songs: pushed only"]),
        (None, []),
    ],
)
def test_unchecked_features_are_shown_with_their_view(unchecked: Any, shown: list[str]) -> None:
    load = task("materialize", ("01", "success", "", loaded()))
    verify = task("verify", ("02", "success", "", {"dataset": "songs", "unchecked": unchecked}))
    (found,) = seen(load, verify)["views"]
    assert found["unchecked"] == shown


def test_features_have_types_services_and_deployed_models() -> None:
    features = [{"name": "energy", "type": "Float32"}, {"name": "loudness", "type": "Float32"}]
    services = [
        {"name": "serving_fs", "description": "", "features": ["songs:energy", "mood:bright"]},
        {"name": "audit", "description": "", "features": ["songs:loudness"]},
    ]
    on_demand = [{"name": "mood", "features": [], "reads": ["songs:loudness"]}]
    store = loaded(view(features=features), services=services, on_demand_views=on_demand)
    versions = {
        "champion": {**alias("1"), "features": ["songs:energy"]},
        "test": {**alias("2"), "features": ["mood:bright"]},
    }
    shown = seen(
        task("materialize", ("01", "success", "", store)),
        task("promote", ("02", "success", "", {"model": "jukebox", "aliases": versions})),
        deployed={"jukebox@champion": ["songs:energy"], "elsewhere@live": ["songs:energy"]},
    )
    (songs,) = shown["views"]
    assert songs["features"] == [
        {
            "name": "energy",
            "type": "Float32",
            "services": ["serving_fs"],
            "models": ["elsewhere@live", "jukebox v1 (production)"],
        },
        # Through the on-demand view.
        {
            "name": "loudness",
            "type": "Float32",
            "services": ["audit", "serving_fs"],
            "models": ["jukebox v2 (test)"],
        },
    ]
    assert [(one["name"], len(one["features"]), len(one["models"])) for one in shown["services"]] == [
        ("audit", 1, 0),
        ("serving_fs", 2, 3),
    ]


def test_on_demand_views_that_read_each_other_end() -> None:
    services = [{"name": "fs", "description": "", "features": ["a:x"]}]
    circle = [
        {"name": "a", "features": [], "reads": ["b:y"]},
        {"name": "b", "features": [], "reads": ["a:x"]},
    ]
    store = loaded(services=services, on_demand_views=circle)
    assert seen(task("materialize", ("01", "success", "", store)))["services"][0]["name"] == "fs"


def test_what_an_older_release_reported_of_features_is_understood() -> None:
    load = task("materialize", ("01", "success", "", loaded(view(features=["energy"]))))
    (shown,) = seen(load)["views"]
    assert shown["features"] == [{"name": "energy", "type": None, "services": [], "models": []}]


# --- commits -----------------------------------------------------------------------------------


def resolve(at: str, commit: dict[str, Any], run_id: str | None = None, **facts: Any) -> Any:
    told = {"step": "resolve", "revision": "", "applied": None, **commit, **facts}
    return ending(at, "success", "", told, run_id=run_id or f"run {at}")


def evaluation(
    tasks: dict[str, TaskStatus],
    at: int,
    commit: dict[str, Any],
    *steps: tuple[str, Any, dict[str, Any]],
    **facts: Any,
) -> None:
    """Report a run that evaluates a commit: its resolve step, and the steps after it."""
    run_id = f"run {at}"
    first = resolve(f"{at}0", commit, run_id, **facts)
    tasks["resolve"] = tasks.get("resolve", TaskStatus("training", "resolve")).ended(first)
    for number, (name, state, more) in enumerate(steps, start=1):
        refused = bool(more.pop("refused", False))
        one = ending(
            f"{at}{number}",
            state,
            f"{name} {state}",
            {"step": name, **commit, **more},
            run_id=run_id,
            refused=refused,
        )
        tasks[name] = tasks.get(name, TaskStatus("training", name)).ended(one)


CASES = {
    "applied": [("diff", "success", {"needed": True}), ("changed", "success", {}), ("apply", "success", {})],
    "none": [("diff", "success", {"needed": False}), ("changed", "skipped", {})],
    "skipped": [("diff", "success", {"needed": True}), ("changed", "skipped", {})],
    "refused": [("diff", "failed", {"refused": True})],
    "failed": [("diff", "success", {"needed": True}), ("changed", "success", {}), ("apply", "failed", {})],
    "waiting": [("diff", "success", {"needed": True})],
}


@pytest.mark.parametrize("outcome", CASES)
def test_the_newest_commit_is_the_one_that_was_evaluated_last_whatever_came_of_it(outcome: str) -> None:
    tasks: dict[str, TaskStatus] = {}
    evaluation(tasks, 1, COMMIT, *[(n, s, dict(f)) for n, s, f in CASES["applied"]])
    evaluation(tasks, 2, OTHER, *[(n, s, dict(f)) for n, s, f in CASES[outcome]], applied=COMMIT["commit"])
    commits = seen(*tasks.values())["commits"]
    assert [(one["commit"], one["outcome"]) for one in commits["evaluated"]] == [
        (OTHER["commit"], outcome),
        (COMMIT["commit"], "applied"),
    ]
    assert commits["newest"]["commit"] == OTHER["commit"]
    assert commits["applied"]["commit"] == (OTHER if outcome == "applied" else COMMIT)["commit"]


def test_an_older_revision_that_a_user_asked_for_is_not_the_newest_commit() -> None:
    tasks: dict[str, TaskStatus] = {}
    evaluation(tasks, 1, OTHER, *[(n, s, dict(f)) for n, s, f in CASES["applied"]])
    evaluation(tasks, 2, COMMIT, *[(n, s, dict(f)) for n, s, f in CASES["applied"]], revision="v1")
    commits = seen(*tasks.values())["commits"]
    assert commits["newest"]["commit"] == OTHER["commit"]
    assert commits["applied"]["commit"] == COMMIT["commit"]


def test_a_diff_that_is_cleared_in_an_older_run_changes_neither_newest_nor_applied() -> None:
    tasks: dict[str, TaskStatus] = {}
    evaluation(tasks, 1, COMMIT, *[(n, s, dict(f)) for n, s, f in CASES["applied"]])
    evaluation(tasks, 2, OTHER, *[(n, s, dict(f)) for n, s, f in CASES["applied"]])
    stale = {"step": "diff", **COMMIT, "applied": "d" * 40, "needed": True}
    tasks["diff"] = tasks["diff"].ended(ending("59", "success", "", stale, run_id="run 1"))
    commits = seen(*tasks.values())["commits"]
    assert commits["newest"]["commit"] == commits["applied"]["commit"] == OTHER["commit"]


def test_a_whole_run_that_is_cleared_is_an_evaluation_of_the_commit_that_it_found_then() -> None:
    tasks: dict[str, TaskStatus] = {}
    evaluation(tasks, 1, COMMIT, *[(n, s, dict(f)) for n, s, f in CASES["refused"]])
    evaluation(tasks, 1, OTHER, ("diff", "success", {"needed": False}))
    (one,) = seen(*tasks.values())["commits"]["evaluated"]
    assert (one["commit"], one["outcome"]) == (OTHER["commit"], "none")


def test_the_applied_commit_comes_with_its_changes_and_its_address() -> None:
    commits = seen(
        task("apply", ("02", "success", "applied", {"step": "apply", **COMMIT, "verdict": "breaking"}))
    )["commits"]
    applied = commits["applied"]
    assert (applied["subject"], applied["class"], applied["changes"]) == (
        "Drop loudness",
        "breaking",
        ["− loudness"],
    )
    assert applied["url"] == "http://git/" + "a" * 40


def test_what_an_older_release_reported_of_commits_is_understood() -> None:
    diff = task("diff", ("03", "failed", "feature_service.py:12: no", {**OTHER, "applied": "a" * 40}))
    apply = task("apply", ("02", "success", "applied", COMMIT))
    commits = seen(apply, diff)["commits"]
    assert (commits["newest"]["summary"], commits["newest"]["outcome"]) == (
        "feature_service.py:12: no",
        "failed",
    )
    assert commits["applied"]["subject"] == "Drop loudness"


def test_a_commit_that_was_applied_before_anything_was_reported_is_known_by_its_hash() -> None:
    diff = task("diff", ("01", "success", "none: …", {**COMMIT, "applied": "d" * 40, "needed": False}))
    assert seen(diff)["commits"]["applied"] == {"commit": "d" * 40, "url": "http://git/" + "d" * 40}


# --- models ------------------------------------------------------------------------------------


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


def test_a_refused_model_is_told_until_a_newer_one_is_well() -> None:
    deploy = task("deploy_test", ("01", "success", "", {"model": "jukebox", "aliases": {"test": alias("1")}}))
    evaluate = task("evaluate", ("02", "failed", "log-loss rises", {"model": "jukebox"}))
    (model,) = seen(deploy, evaluate)["models"]
    assert model["failed"]["summary"] == "log-loss rises"
    assert [one["version"] for one in model["versions"]] == ["1"]

    newer = ending("03", "success", "", {"model": "jukebox", "aliases": {"test": alias("2")}})
    (model,) = seen(deploy.ended(newer), evaluate)["models"]
    assert model["failed"] is None


def test_there_are_no_links_where_nothing_is_set() -> None:
    deployed = {"model": "jukebox", "aliases": {"test": alias("1")}}
    shown = view_model([task("deploy_test", ("01", "success", "", deployed))], Addresses(), {}, LONG_AGO)
    (version,) = shown["models"][0]["versions"]
    assert version["url"] is version["commit_url"] is version["service"] is None
    assert shown["instances"] == []


def test_an_accepted_regression_is_shown_with_its_version() -> None:
    accepted = {"reason": "licence of loudness", "user": "ada"}
    registered = {"model": "jukebox", "version": "2", "accepted_regression": accepted}
    register = task("register", ("01", "success", "", registered))
    deploy = task("deploy_test", ("02", "success", "", {"model": "jukebox", "aliases": {"test": alias("2")}}))
    (model,) = seen(register, deploy)["models"]
    assert model["versions"][0]["accepted_regression"] == accepted


def test_a_missing_champion_is_shown_until_a_version_is_promoted() -> None:
    deployed = {"model": "jukebox", "aliases": {"test": alias("2")}, "champion_missing": "missing"}
    deploy = task("deploy_test", ("01", "success", "", deployed))
    assert seen(deploy)["models"][0]["champion_missing"] == "missing"

    promoted = {"model": "jukebox", "version": "2", "by": "Ada", "why": "", "instead_of": None}
    both = {"test": alias("2"), "champion": alias("2")}
    promote = task("promote", ("02", "success", "", {**promoted, "aliases": both}))
    assert seen(deploy, promote)["models"][0]["champion_missing"] is None


# --- history -----------------------------------------------------------------------------------


def test_loads_and_refused_files_are_one_history_the_oldest_first() -> None:
    told = loaded(view(newest_event="2025-12-31T00:00:00+00:00"), rows=10, seconds=1.5)
    load = task(
        "materialize",
        ("01", "success", "", {**told, "point": load_point("songs", told)}),
        ("03", "failed", "", {"datasets": ["songs"], "point": load_point("songs", {})}),
    )
    validate = task("validate", ("02", "failed", "", REFUSED))
    shown = seen(load, validate)
    assert [(one["state"], one["rows"], one["dataset"]) for one in shown["loads"]] == [
        ("success", 10, "songs"),
        ("quarantined", None, "songs"),
        ("failed", None, "songs"),
    ]
    assert shown["freshness"] == [
        {"view": "songs", "points": [["2026-01-01T00:01:00+00:00", "2025-12-31T00:00:00+00:00"]]}
    ]


def test_quarantine_lists_files_with_reason_and_report_while_they_are_kept() -> None:
    validate = task("validate", ("01", "failed", "", REFUSED), ("02", "success", "", {"dataset": "songs"}))
    (file,) = seen(validate)["quarantine"]
    assert (file["source"], file["reason"], file["report_uri"], file["rules"]) == (
        "http://a/songs.parquet",
        "loudness: 3 values above 10",
        "s3://data/_q/report.json",
        1,
    )
    assert file["run"] == "dags/etl/runs/run%2001/tasks/validate"
    assert seen(validate, since=datetime(2026, 1, 2, tzinfo=UTC))["quarantine"] == []


def test_drift_is_shown_by_model_over_time() -> None:
    def measured(value: float) -> dict[str, Any]:
        return {"point": {"of": "jukebox", "rows": 500, "features": {"energy": value}}}

    measure = task(
        "measure_drift", ("01", "success", "", measured(0.1)), ("02", "success", "", measured(0.3))
    )
    (drift,) = seen(measure)["drift"]
    assert drift["model"] == "jukebox"
    assert [point["features"]["energy"] for point in drift["points"]] == [0.1, 0.3]


# --- robustness --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "part"),
    [
        ({"datasets": 1, "online": [view()]}, "views"),
        ({"commit": "a", "subject": "b", "step": [], "changes": 1, "commit_url": 3, "applied": 1}, None),
        ({"model": "jukebox", "aliases": {"test": 1}}, "models"),
        ({"services": [{}], "datasets": ["songs"], "online": []}, "services"),
        ({"point": {"newest_event": 3}}, "freshness"),
        ({"point": {"quarantine": 3}}, "quarantine"),
        ({"point": 7}, "loads"),
    ],
)
def test_one_part_that_can_not_be_shown_leaves_the_others(facts: dict[str, Any], part: str | None) -> None:
    good = task(
        "measure_drift",
        ("02", "success", "", {"point": {"of": "jukebox", "rows": 5, "features": {"energy": 0.1}}}),
    )
    odd = task("odd", ("01", "success", "", facts), dag_id="other")
    shown = seen(odd) if part in ("loads",) else seen(good, odd)
    assert part is None or part in shown["unreadable"]
    assert [one["dag"] for one in shown["pipelines"]][-1] == "other"

"""A task of an older run that is cleared after a newer run has finished never takes a step back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feature_ops.exceptions import SupersededError
from feature_ops.feast.applied_base import refuse_stale_base
from feature_ops.feast.applied_commit import AppliedState
from feature_ops.feast.apply_process import Applied, ApplyRequest
from feature_ops.feast.applying import _result
from feature_ops.settings import get_settings
from feature_ops.training.model_registry import CHAMPION, TEST, ModelVersion
from feature_ops.training.recipe import Recipe
from tests.unit.runs import DAGS, TaskRun

OLDER, NEWER, LATER = "a" * 40, "b" * 40, "c" * 40
# What only reads, or starts from a new comparison.
NO_ACTS = {"resolve_commits", "diff_feature_service", "changed", "find_candidate", "approve", "acknowledge"}
# Compares the registry with the load log by itself, see tests/integration/feast/test_backfill.py.
RECONCILES_BY_ITSELF = {"backfill"}
T1, T2, T3 = (f"2026-03-0{day}T10:00:00.000+00:00" for day in (1, 2, 3))


def version(number: int, **more: str) -> ModelVersion:
    return ModelVersion(str(number), OLDER, "data", Recipe("d", "c"), ("songs:energy",), "run", "", **more)


@dataclass
class World:
    """What the tasks act on: the applied commit and the model's aliases, in memory."""

    state: AppliedState
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    acts: list[str] = field(default_factory=list)

    def add(self, *versions: ModelVersion) -> None:
        self.versions |= {one.version: one for one in versions}

    # As feature_ops.training.model_registry.ModelRegistry.

    def by_alias(self, alias: str) -> ModelVersion | None:
        return self.versions.get(self.aliases.get(alias, ""))

    def by_number(self, number: str) -> ModelVersion | None:
        return self.versions.get(number)

    def before(self, alias: str) -> ModelVersion | None:
        return None

    def metrics(self, of: ModelVersion) -> dict[str, float]:
        return {}

    def last_champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    def record_champion(self, number: str) -> None:
        pass

    def set_alias(self, alias: str, number: str) -> None:
        self.acts.append(f"{alias} is {number}")
        self.aliases[alias] = number

    def note(self, number: str, facts: dict[str, str]) -> None:
        self.acts.append(f"noted {', '.join(facts)} of {number}")
        known = {name: value for name, value in facts.items() if name in ("approved_at", "promoted_at")}
        self.versions[number] = replace(self.versions[number], **known)

    def register(self, *_: Any, **__: Any) -> str:
        self.acts.append("registered")
        return "9"

    # As feature_ops.ui.status.tell.

    def tell(self, operator: Any, context: Any, state: str, *_: Any, **__: Any) -> None:
        if state != "success":
            self.acts.append(f"reported {operator.task_id} {state}")

    # As feature_ops.feast.applying.run_apply, but for the work.

    def run_apply(self, request: ApplyRequest, *_: Any) -> Applied:
        assert request.base is not None
        refuse_stale_base(request.commit, request.base, self.state, request.compared_by)
        self.acts.append(f"applied {request.commit[:1]}")
        return Applied([], [], [], "s3://dump")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The stores, as a newer run has left them."""
    world = World(AppliedState(NEWER, None, 200))
    world.add(version(1, promoted_at=T1), version(2, resolved_at=T1), version(3, resolved_at=T2))
    world.aliases = {TEST: "3", CHAMPION: "3"}
    world.versions["3"] = replace(world.versions["3"], promoted_at=T2)
    hook = SimpleNamespace(
        object_store=SimpleNamespace(get_bytes=lambda uri: None, put_bytes=lambda *_: None),
        feature_repo=SimpleNamespace(resolve=lambda: "repo"),
        project=lambda: "radio",
        registry_url=lambda: "url",
        environment=dict,
        secrets=set,
    )
    monkeypatch.setattr("feature_ops.feast.hook.FeastHook", lambda *_: hook)
    monkeypatch.setattr("feature_ops.feast.applied_commit.AppliedCommit.state", lambda _: world.state)
    definitions = SimpleNamespace(digest=lambda: "digest")
    monkeypatch.setattr("feature_ops.feast.definitions_store.DefinitionsStore.get", lambda *_: definitions)
    monkeypatch.setattr("feature_ops.feast.applying.run_apply", world.run_apply)
    monkeypatch.setattr("feature_ops.training.live_models.live_features", lambda *_: {})
    monkeypatch.setattr("feature_ops.training.deployment.announce", lambda *_: None)
    monkeypatch.setattr("feature_ops.training.model_registry.ModelRegistry", lambda *_: world)
    # The page in Airflow goes on showing the newer run.
    monkeypatch.setattr("feature_ops.operator.report", world.tell)
    for name in ("FEATURE_OPS_TEST_SERVICE_URL", "FEATURE_OPS_PRODUCTION_SERVICE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FEATURE_OPS_MLFLOW_TRACKING_URI", "http://mlflow.invalid")
    get_settings.cache_clear()
    return world


DIFF = {
    "commit": OLDER,
    "needed": True,
    "verdict": "additive",
    "summary": "+ loudness",
    "definitions_uri": "s3://definitions",
    "definitions_digest": "digest",
    "applied": None,
    "applied_at": None,
    "begun": None,
    "resolved_at": T1,
}
TRAINED = {
    "result_uri": "s3://result",
    "commit": OLDER,
    "definition_hash": "d",
    "code_hash": "c",
    "applied": OLDER,
    "resolved_at": T1,
    "version": "2",
}
# What the tasks of the older run returned.
RESULTS: dict[str, Any] = {
    "diff_feature_service": DIFF,
    "changed": {"commit": OLDER},
    "apply": {"commit": OLDER},
    "backfill": {"views": []},
    "retrain": TRAINED,
    "evaluate": TRAINED,
    "register": TRAINED,
    "find_candidate": {"version": "2", "champion": "1", "champion_since": T1},
    "approve": {
        "by": "ada",
        "why": "better",
        "at": T1,
        "version": "2",
        "champion": "1",
        "champion_since": T1,
    },
}


def acting(*dag_ids: str) -> list[Any]:
    tasks = [task for dag_id in dag_ids for task in DAGS[dag_id].tasks]
    return [
        pytest.param(task, id=task.task_id)
        for task in tasks
        if task.task_id not in NO_ACTS | RECONCILES_BY_ITSELF
    ]


@pytest.mark.parametrize("task", acting("continuous_training", "promote_model"))
def test_a_cleared_task_of_an_older_run_refuses_and_changes_nothing(task: Any, world: World) -> None:
    before = world.state, dict(world.aliases), dict(world.versions)
    run = TaskRun(task, RESULTS)

    with pytest.raises(AirflowFailException) as refused:
        run.execute()

    assert world.acts == []
    assert (world.state, world.aliases, world.versions) == before
    first = "find_candidate" if task.dag_id == "promote_model" else "resolve_commits"
    assert f"clear `{first}` and the tasks after it, or trigger the DAG with" in str(refused.value)
    assert run.state.lines == [str(refused.value)]


@pytest.mark.parametrize("task", acting("continuous_training"))
def test_the_line_names_the_commit_that_was_applied_since(task: Any, world: World) -> None:
    with pytest.raises(AirflowFailException, match=f"^commit {NEWER[:10]} was applied since "):
        TaskRun(task, RESULTS).execute()


@pytest.mark.parametrize("task_id", ["retrain", "evaluate", "register", "deploy_test"])
def test_a_newer_model_of_other_code_on_the_same_features_is_kept(task_id: str, world: World) -> None:
    """Nothing was applied in between: both commits change the model's code only."""
    world.state = AppliedState(OLDER, None, 100)
    task = DAGS["continuous_training"].get_task(task_id)

    with pytest.raises(AirflowFailException, match=r"version 3 of jukebox .* by a later run"):
        TaskRun(task, RESULTS).execute()

    assert world.acts == []


BASE = AppliedState(OLDER, None, 100)


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        pytest.param(BASE, None, id="nothing changed"),
        pytest.param(AppliedState(OLDER, NEWER, 100), None, id="an earlier try began"),
        pytest.param(AppliedState(NEWER, None, 200), None, id="an earlier try is done"),
        pytest.param(AppliedState(LATER, None, 200), "commit cccc.* was applied", id="another was applied"),
        pytest.param(AppliedState(OLDER, None, 300), "commit aaaa.* was applied", id="taken back"),
        pytest.param(AppliedState(OLDER, LATER, 100), "commit cccc.* was begun", id="another was begun"),
        pytest.param(AppliedState(NEWER, LATER, 200), "commit cccc.* was begun", id="done, another begun"),
        pytest.param(AppliedState(), "the registry was emptied", id="emptied"),
    ],
)
def test_apply_goes_on_only_from_the_state_that_it_was_compared_with(
    now: AppliedState, refused: str | None
) -> None:
    def check() -> None:
        refuse_stale_base(NEWER, BASE, now, "`resolve_commits`")

    if refused is None:
        check()
    else:
        with pytest.raises(SupersededError, match=refused):
            check()


def test_a_refusal_of_the_process_that_applies_arrives_as_one() -> None:
    with pytest.raises(SupersededError, match=r"^another was applied$"):
        _result(json.dumps({"superseded": "another was applied"}), 0, [], [])


def test_an_apply_that_was_begun_before_the_comparison_is_completed() -> None:
    base = AppliedState(OLDER, LATER, 100)
    refuse_stale_base(NEWER, base, base, "`resolve_commits`")


def promote(world: World, **approval: Any) -> TaskRun:
    """Return a run of promote whose approver compared with version 1 in production."""
    results = {**RESULTS, "approve": {**RESULTS["approve"], "at": T2, **approval}}
    return TaskRun(DAGS["promote_model"].get_task("promote"), results)


@pytest.fixture
def first_in_production(world: World) -> World:
    world.aliases = {TEST: "2", CHAMPION: "1"}
    return world


def test_an_approved_candidate_is_promoted_once_and_its_approval_is_noted_first(
    first_in_production: World,
) -> None:
    world = first_in_production
    facts = promote(world).execute()

    assert (facts["version"], facts["instead_of"], facts["by"]) == ("2", "1", "ada")
    assert [act.split(",")[0] for act in world.acts] == [
        "noted approved_by",
        "champion is 2",
        "noted promoted_by",
    ]
    # A try that was killed after the alias had moved is repeated to the same end.
    assert promote(world).execute()["version"] == "2"
    assert world.aliases[CHAMPION] == "2"


@pytest.mark.parametrize(
    ("approval", "line"),
    [
        ({"version": "1"}, "version 2 is not approved: ada approved version 1. Clear `approve`"),
        (
            {"by": "FEATURE_OPS_AUTO_APPROVE"},
            "by the setting FEATURE_OPS_AUTO_APPROVE, which is off",
        ),
        ({"by": ""}, "`promote` needs the result of `approve`, which lacks by"),
        ({"by": None}, "`promote` needs the result of `approve`, which lacks by"),
        ({"at": None}, "`promote` needs the result of `approve`, which lacks at"),
    ],
)
def test_nothing_is_promoted_without_an_approval_of_this_version(
    approval: dict[str, Any], line: str, first_in_production: World
) -> None:
    with pytest.raises(AirflowFailException) as refused:
        promote(first_in_production, **approval).execute()

    assert line in str(refused.value)
    assert first_in_production.acts == ["reported promote failed"]


def test_the_setting_stands_for_an_approver(
    first_in_production: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_AUTO_APPROVE", "true")
    get_settings.cache_clear()
    world = first_in_production
    candidate = {"subject": "?", "body": "?", "in_test": "2", **RESULTS["find_candidate"]}
    approve = TaskRun(DAGS["promote_model"].get_task("approve"), {"find_candidate": candidate})

    approval = approve.execute()

    assert (approval["by"], approval["version"]) == ("FEATURE_OPS_AUTO_APPROVE", "2")
    assert promote(world, **approval).execute()["version"] == "2"


def test_a_rollback_is_not_undone_by_the_run_that_it_took_back(first_in_production: World) -> None:
    world = first_in_production
    promote(world).execute()
    rollback = {"version": "1", "champion": "2", "champion_since": world.versions["2"].promoted_at, "at": T3}
    results = {
        "find_candidate": {"version": "1", "champion": "2"},
        "approve": {**RESULTS["approve"], **rollback},
    }
    TaskRun(DAGS["promote_model"].get_task("promote"), results).execute()
    assert world.aliases[CHAMPION] == "1"

    with pytest.raises(AirflowFailException, match="version 1 of jukebox was promoted since version 2"):
        promote(world).execute()

    assert world.aliases[CHAMPION] == "1"


def test_a_version_that_was_promoted_again_keeps_its_later_approver(first_in_production: World) -> None:
    world = first_in_production
    world.aliases[CHAMPION] = "2"
    world.versions["2"] = replace(world.versions["2"], approved_at=T3, promoted_at=T3)

    with pytest.raises(AirflowSkipException, match="version 2 of jukebox is in production by a later"):
        promote(world).execute()

    assert world.acts == ["reported promote skipped"]

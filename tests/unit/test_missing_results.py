"""No task trusts that an upstream task left a result: the table over all tasks of the three DAGs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import XComArg
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.exceptions import NothingPendingError
from feature_ops.operator import Outcome
from feature_ops.upstream import Needs, ReadsResults
from tests.unit.runs import DAGS, TaskRun

# A teardown runs however the others ended: it looks at their states.
STEPS = [(dag, task) for dag in DAGS.values() for task in dag.tasks if not task.is_teardown]
TASKS = [pytest.param(task, id=f"{dag.dag_id}.{task.task_id}") for dag, task in STEPS]
EDGES = [
    pytest.param(task, upstream, id=f"{dag.dag_id}.{upstream}-{task.task_id}")
    for dag, task in STEPS
    for upstream in sorted(task.upstream_task_ids)
]
NO_RESULT = object()


@pytest.fixture(autouse=True)
def no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported to the page in Airflow."""
    monkeypatch.setattr("feature_ops.operator.report", lambda *_, **__: None)


def complete(needs: Needs) -> dict[str, Any]:
    return {name: name for name in (*needs.fields, *needs.nullable)} or {"any": "result"}


def complete_results(task: Any) -> dict[str, Any]:
    """Return a result of each upstream task that lacks nothing which the task reads."""
    results: dict[str, Any] = {}
    for name, needs in task.needs.items():
        for producer in task.producers(name):
            results.setdefault(producer, {}).update(complete(needs))
    return results


def started(task: Any, results: dict[str, Any]) -> tuple[TaskRun, list[str]]:
    """Return a run of the task whose work is only recorded, and that record."""
    run, work = TaskRun(task, results), []

    def works(*_: Any) -> Outcome:
        work.append(task.task_id)
        return Outcome("worked")

    run.replace(reconcile=works, _ask=works)
    return run, work


def gaps(task: Any, upstream: str) -> Iterator[tuple[str, Any]]:
    """Yield every way in which the result of an upstream task may be missing or incomplete."""
    # Marked successful, failed or skipped, or cleared: the task finds the same, which is nothing.
    yield "no result", NO_RESULT
    yield "null", None
    yield "empty", {}
    yield "text", "a result"
    yield "no mapped result", []
    for name, needs in task.needs.items():
        if upstream in task.producers(name):
            for field in needs.fields:
                yield f"no {field}", {key: key for key in complete(needs) if key != field}
                yield f"null {field}", {**complete(needs), field: None}
            for field in needs.nullable:
                yield f"no {field}", {key: key for key in complete(needs) if key != field}
            if not needs.skippable:
                yield "skipped", {"skipped": "nothing to do"}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_declares_the_result_of_every_task_before_it(task: Any) -> None:
    assert isinstance(task, ReadsResults)
    declared = {producer for name in task.needs for producer in task.producers(name)}
    assert declared == set(task.upstream_task_ids)
    assert set(task.needs) <= set(task.template_fields)
    for field in task.template_fields:
        reads = list(XComArg.iter_xcom_references(getattr(task, field)))
        assert not reads or field in task.needs


@pytest.mark.parametrize(("task", "upstream"), EDGES)
def test_a_task_without_an_upstream_result_does_nothing_and_names_the_task_to_clear(
    task: Any, upstream: str
) -> None:
    for gap, result in gaps(task, upstream):
        results = complete_results(task)
        results[upstream] = result
        if result is NO_RESULT:
            del results[upstream]
        run, work = started(task, results)

        # Airflow does not retry a task that ends with this.
        with pytest.raises(AirflowFailException) as failure:
            run.execute()

        line = str(failure.value)
        assert line.startswith(f"`{task.task_id}` needs the result of `{upstream}`, which "), gap
        assert f": clear `{upstream}` and the tasks after it" in line, gap
        assert run.state.lines == [line], gap
        assert "\n" not in line
        assert work == [], gap
        assert run.instance.pushed == {}, gap


@pytest.mark.parametrize("task", TASKS)
def test_a_task_with_all_results_works(task: Any) -> None:
    run, work = started(task, complete_results(task))

    run.execute()

    assert work == [task.task_id]


@pytest.mark.parametrize("results_of_backfill", [{}, {"backfill": {"views": []}}])
def test_retrain_works_where_nothing_was_to_be_applied(results_of_backfill: dict[str, Any]) -> None:
    """Airflow skips apply and backfill then; what they left in an earlier try of the run may remain."""
    retrain = DAGS["continuous_training"].get_task("retrain")
    results = complete_results(retrain) | {"changed": {"skipped": "nothing to apply"}}
    del results["backfill"]

    run, work = started(retrain, results | results_of_backfill)
    run.execute()

    assert work == ["retrain"]


def test_a_task_that_finds_nothing_to_do_leaves_the_reason_as_its_result() -> None:
    changed = DAGS["continuous_training"].get_task("changed")
    run = TaskRun(changed, complete_results(changed))

    def nothing(*_: Any) -> Outcome:
        raise NothingPendingError("nothing to apply")

    run.replace(reconcile=nothing)
    with pytest.raises(Exception, match="nothing to apply"):
        run.execute()

    assert run.instance.pushed == {"return_value": {"skipped": "nothing to apply"}}


def test_the_results_of_a_mapped_task_are_checked_one_by_one() -> None:
    needs = Needs(("uri",))
    assert needs.problem([{"uri": "a"}, {"uri": "b"}]) is None
    assert needs.problem([{"uri": "a"}, {}]) == "has none"
    assert needs.problem([{"uri": "a"}, {"rows": 1}]) == "lacks uri"


def test_false_and_zero_are_values() -> None:
    assert Needs(("needed", "rows")).problem({"needed": False, "rows": 0}) is None

"""The acts in which a person decides what production answers with."""

from __future__ import annotations

from demo.airflow_api import ENDED
from demo.asking import ask
from demo.scene import KEY, PROMOTION_DAG_ID, Scene, StoryError, expect
from demo.waiting import wait_until


def candidate_is_approved(scene: Scene) -> str:
    """A14: a candidate waits for a person, who sees what changes; then production answers with it."""
    before = _production(scene)
    run_id = scene.waiting_promotion("2")
    expect(_production(scene), before, "what production answers while a person is waited for")
    question = scene.api.question(PROMOTION_DAG_ID, run_id, "approve")
    for words in (
        "significant",
        "| Log-loss (lower is better) |",
        "| Minimum top-5 accuracy |",
        "12 features instead of 13",
        "- removed: `song_properties:loudness`",
    ):
        if words not in question["body"]:
            raise StoryError(f"the person is not told {words!r}: {question['body']}")
    run = scene.decide(run_id, "Approve", why="as good with one input less")
    expect(run.states["promote"], "success", "state of promote")
    version, countries = _production(scene)
    expect(version, "2", "version in production")
    expect(countries != before[1], True, "production answers otherwise")
    return f"“{question['subject']}” {run.summaries['approve']}; {run.summaries['promote']}"


def approval_is_marked_success(scene: Scene) -> str:
    """Marking the approval as success approves nothing; clear it, as the line says, and it asks again."""
    before = _production(scene)
    run_id = scene.waiting_promotion("2")
    scene.api.mark_success(PROMOTION_DAG_ID, run_id, "approve")
    expect(scene.api.wait(PROMOTION_DAG_ID, run_id, timeout=120), "failed", "state of the run")
    run = scene.training(run_id, dag_id=PROMOTION_DAG_ID)
    expect(run.states["promote"], "failed", "state of promote")
    expect(_production(scene), before, "what production answers")
    if "`approve`" not in run.summaries["promote"]:
        raise StoryError(f"the line does not name the task to clear: {run.summaries['promote']}")
    scene.api.clear(PROMOTION_DAG_ID, run_id, "approve")
    expect(scene.waiting_promotion("2"), run_id, "the run that waits")
    return run.summaries["promote"]


def newer_candidate_takes_over(scene: Scene) -> str:
    """Whoever waits with an older version gives way; the newest is rejected, and production stays."""
    before = _production(scene)
    newest = str(ask(scene.stack.model_url("test"), "/model").content["version"])
    run = scene.decide(scene.waiting_promotion(newest), "Reject", why="not before the weekend")
    expect(run.states["promote"], "skipped", "state of promote")
    expect(_production(scene), before, "what production answers")
    expect(run.summaries["approve"], "rejected by admin: not before the weekend", "line of approve")
    given_way = wait_until(
        lambda: _given_way(scene), "an older candidate gives way to a newer one", timeout=90, interval=0.5
    )
    assert given_way
    run_id, told = given_way
    expect(
        scene.api.dag_run(PROMOTION_DAG_ID, run_id)["state"], "success", f"state of the run that says: {told}"
    )
    return f"{told}; version {newest}: {run.summaries['approve']}"


def way_back(scene: Scene) -> str:
    """An older version by hand: production answers as at the beginning."""
    run_id = scene.api.trigger(PROMOTION_DAG_ID, {"model_version": "1"})
    expect(scene.waiting_promotion("1"), run_id, "the run that waits")
    run = scene.decide(run_id, "Approve", why="listeners prefer it")
    version, countries = _production(scene)
    expect(version, "1", "version in production")
    return f"{run.summaries['promote']}: {', '.join(list(countries)[:3])}"


def _given_way(scene: Scene) -> tuple[str, str] | None:
    """Return a run that has ended since a newer version is the candidate, and what it said."""
    for run in scene.promotion_runs():
        run_id = str(run["dag_run_id"])
        summary = scene.api.summaries(PROMOTION_DAG_ID, run_id).get("approve", "")
        if "is the newer candidate" in summary and run["state"] in ENDED:
            return run_id, summary
    return None


def _production(scene: Scene) -> tuple[str, dict[str, float]]:
    song = str(scene.base[KEY].iloc[0])
    version = ask(scene.stack.model_url("champion"), "/model").content["version"]
    return str(version), scene.predict(song, "champion").countries

"""The acts in which a data scientist changes the features, and Airflow follows."""

from __future__ import annotations

import numpy as np

from demo.asking import ask
from demo.data_scientist import SERVICE, VIEW
from demo.scene import DEFINITIONS, KEY, TRAINING_DAG_ID, Scene, StoryError, TrainingRun, expect
from demo.waiting import wait_until

_LOUDNESS = '                "loudness",\n'
_COMMENTED_OUT = '                # "loudness",\n'
_NEW_FIELD = '        Field(name="tempo", dtype=Float32),\n'
_NEW_FEATURE = "time_signature"


def words_only(scene: Scene) -> str:
    """A10: a README starts nothing; comment, order and whitespace start a run that applies nothing."""
    scene.reader.start()
    for crowd in scene.crowds.values():
        crowd.start()
    runs = len(scene.training_runs())
    scene.data_scientist.push("Say more in the README", {"README.md": lambda text: f"{text}\nMore.\n"})
    push = scene.data_scientist.push("Reorder and explain", {SERVICE: _only_words})
    run = scene.follow(push)
    expect(len(scene.training_runs()), runs + 1, "runs that two commits of words started")
    expect(run.states["changed"], "skipped", "state of the deciding task")
    expect(run.states["apply"], "skipped", "state of apply")
    return _told(run, "changed")


def loudness_is_commented_out(scene: Scene) -> str:
    """A9: exactly one change is seen, told, applied; a model with 12 inputs answers otherwise in test."""
    before = scene.online(_some(scene))
    song = _some(scene)[0]
    asked_before = {alias: scene.predict(song, alias).countries for alias in ("test", "champion")}
    push = scene.data_scientist.push(
        "Drop loudness: it goes with energy", {SERVICE: lambda text: text.replace(_LOUDNESS, _COMMENTED_OUT)}
    )
    run = scene.follow(push)
    scene.remembered["without loudness"] = push.commit
    expect(run.facts["diff_feature_service"]["verdict"], "breaking", "verdict")
    expect(
        run.facts["diff_feature_service"]["changes"], ["serving_fs: − song_properties:loudness"], "changes"
    )
    expect(run.states["apply"], "success", "state of apply")
    expect(run.states["backfill"], "skipped", "state of backfill")
    after = scene.online(_some(scene))
    expect(len(after.columns), 12, "features of serving_fs")
    expect(len(scene.feature_store.get_feature_view("song_properties").features), 13, "features of the view")
    expect(after.equals(before[after.columns]), True, "the other features are as before")
    model = ask(scene.stack.model_url("test"), "/model").content
    expect(len(model["features"]), 12, "inputs of the model in test")
    expect(str(model["version"]), run.facts["deploy_test"]["version"], "version of the model in test")
    expect(model["git_commit"], push.commit, "commit of the model in test")
    asked = {alias: scene.predict(song, alias).countries for alias in ("test", "champion")}
    expect(asked["test"] != asked_before["test"], True, "the model in test answers otherwise")
    expect(asked["champion"], asked_before["champion"], "what the model in production answers")
    return f"{_told(run, 'diff_feature_service')}; {run.summaries['evaluate']}"


def broken_definitions(scene: Scene) -> str:
    """A11: a clear failure that names file and line; nothing is touched."""
    before = scene.service_features()
    push = scene.data_scientist.push("Break it", {SERVICE: lambda text: f"{text}\nserving_fs = (\n"})
    run = scene.follow(push)
    expect(run.states["diff_feature_service"], "failed", "state of diff_feature_service")
    expect("apply" in run.facts, False, "apply ran")
    expect(scene.service_features(), before, "features of serving_fs")
    line = run.summaries["diff_feature_service"]
    if "feature_service.py:" not in line or push.commit[:10] not in line:
        raise StoryError(f"the error names neither file nor commit: {line}")
    scene.follow(
        scene.data_scientist.push("Mend it", {SERVICE: lambda text: text.replace("\nserving_fs = (\n", "")})
    )
    return f"{_started(run)}: {line[:110]}"


def new_feature_is_backfilled(scene: Scene) -> str:
    """A feature that the history has and nobody served: old songs get it, too."""
    push = scene.data_scientist.push(
        "Serve the time signature",
        {
            VIEW: lambda text: text.replace(
                _NEW_FIELD, f'{_NEW_FIELD}        Field(name="{_NEW_FEATURE}", dtype=Int64),\n'
            ),
            SERVICE: lambda text: text.replace(
                '                "tempo",\n', f'                "tempo",\n                "{_NEW_FEATURE}",\n'
            ),
        },
    )
    run = scene.follow(push)
    expect(run.facts["diff_feature_service"]["verdict"], "additive", "verdict")
    ids = _some(scene)
    wanted = scene.base.drop_duplicates(KEY, keep="last").set_index(KEY).loc[ids, _NEW_FEATURE]
    got = scene.online(ids)[_NEW_FEATURE]
    if not np.array_equal(got.to_numpy(float), wanted.to_numpy(float), equal_nan=True):
        raise StoryError(
            f"{_NEW_FEATURE} of old songs: expected {wanted.tolist()[:5]}, got {got.tolist()[:5]}"
        )
    return f"{_told(run, 'diff_feature_service')}; {run.facts['backfill']['rows']:,} rows backfilled"


def burst_of_commits(scene: Scene) -> str:
    """Ten pushes: the newest is applied, once, in at most two runs."""
    earlier = {run["dag_run_id"] for run in scene.training_runs()}
    push = scene.data_scientist.push(
        "Serve no time signature", {SERVICE: lambda text: text.replace(f'"{_NEW_FEATURE}",', "")}, commits=10
    )
    scene.follow(push)
    runs = [
        scene.training(run["dag_run_id"])
        for run in scene.ended_training_runs()
        if run["dag_run_id"] not in earlier
    ]
    applies = [run for run in runs if run.states["apply"] == "success"]
    if len(runs) > 2 or len(applies) != 1:
        raise StoryError(f"ten pushes gave {len(runs)} runs and {len(applies)} applies")
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}, 1 apply"


def paused_while_pushing(scene: Scene) -> str:
    """A push while the DAG is paused, whose event Airflow drops, is evaluated once after unpausing."""
    earlier = {run["dag_run_id"] for run in scene.ended_training_runs()}
    scene.api.pause(TRAINING_DAG_ID)
    try:
        push = scene.data_scientist.push(
            "Explain once more", {SERVICE: lambda text: f"{text}# Read by the model.\n"}
        )
        wait_until(
            lambda: scene.is_reported(push) or not scene.api.has_watcher(DEFINITIONS),
            "the watcher reports the push, or stops with the paused DAG",
            timeout=180,
        )
        expect({run["dag_run_id"] for run in scene.training_runs()}, earlier, "runs of the paused DAG")
    finally:
        scene.api.pause(TRAINING_DAG_ID, False)
    run = scene.follow(push)
    expect(run.states["changed"], "skipped", "state of the deciding task")
    expect(run.states["acknowledge"], "success", "state of acknowledge")
    later = [run for run in scene.ended_training_runs() if run["dag_run_id"] not in earlier]
    expect(len(later), 1, "runs of the commit")
    return f"{run.seconds_to_start:.1f} s after the push: {run.summaries['acknowledge']}"


def triggerer_is_killed(scene: Scene) -> str:
    """A push while nobody watches is applied when somebody watches again."""
    scene.stack.kill_component("triggerer")
    push = scene.data_scientist.push(
        "Serve loudness again", {SERVICE: lambda text: text.replace(_COMMENTED_OUT, _LOUDNESS)}
    )
    scene.stack.start_component("triggerer")
    run = scene.follow(push)
    expect(run.states["apply"], "success", "state of apply")
    expect(len(scene.service_features()), 13, "features of serving_fs")
    return f"{_told(run, 'diff_feature_service')} (with the triggerer's restart)"


def older_revision_by_hand(scene: Scene) -> str:
    """The way back: an older commit, named in the form."""
    commit = scene.remembered["without loudness"]
    run = scene.train_by_hand(revision=commit[:10])
    expect(run.states["apply"], "success", "state of apply")
    expect(len(scene.service_features()), 12, "features of serving_fs")
    back = scene.train_by_hand(revision="main")
    expect(back.states["apply"], "success", "state of apply")
    expect(len(scene.service_features()), 13, "features of serving_fs")
    return f"{run.summaries['diff_feature_service']}; and back: {back.summaries['diff_feature_service']}"


def readers_noticed_nothing(scene: Scene) -> str:
    """Whoever read through all of the changes met no error and no null in place of a value."""
    scene.reader.stop()
    seen = scene.reader.seen
    if seen.failed or seen.nulls or not seen.reads:
        raise StoryError(f"{seen.reads} reads, {seen.failed} failed: {seen.errors}; nulls: {seen.nulls}")
    told = [f"{seen.reads:,} reads: 0 failed, 0 nulls in place of a value"]
    for alias, crowd in scene.crowds.items():
        crowd.stop()
        asked = crowd.asked
        if asked.failed or not asked.answers:
            raise StoryError(f"{alias}: {asked.failed} of {asked.answers} requests failed: {asked.failures}")
        told.append(f"{asked.answers:,} requests for predictions of {alias}: 0 failed")
    return "; ".join(told)


def _only_words(text: str) -> str:
    energy, key = '                "energy",\n', '                "key",\n'
    swapped = text.replace(f"{energy}{key}", f"{key}{energy}")
    return f"# What the model is served with.\n\n{swapped}\n"


def _some(scene: Scene) -> list[str]:
    ids = scene.base[KEY].unique()
    return [str(song) for song in ids[:: max(1, len(ids) // 200)]]


def _told(run: TrainingRun, task: str) -> str:
    return f"{_started(run)}: {run.summaries[task]}"


def _started(run: TrainingRun) -> str:
    return f"commit → run started {run.seconds_to_start:.1f} s"

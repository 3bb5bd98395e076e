"""The acts in which a data scientist errs: nothing is deployed, and the next push works."""

from __future__ import annotations

import re

from demo.asking import ask
from demo.data_scientist import DESCRIPTION, LABELS, SERVICE
from demo.scene import KEY, Scene, StoryError, TrainingRun, expect

_COUNTRY, _MARKET = '"country"', '"market"'
_IN_ORDER, _SORTED = "dict(zip(names, map(float, example)", "dict(zip(sorted(names), map(float, example)"
_LATER_STEPS = ("evaluate", "register", "deploy_test")


def training_fails(scene: Scene) -> str:
    """A13: features are applied, their training can't be done, and the model of before goes on."""
    before = _answers(scene)
    push = scene.data_scientist.push(
        "Drop valence; read the labels from another column",
        {
            SERVICE: lambda text: text.replace('                "valence",\n', ""),
            LABELS: lambda text: text.replace(_COUNTRY, _MARKET),
        },
    )
    run = scene.follow(push)
    expect(run.states["apply"], "success", "state of apply")
    _expect_failed(run, "retrain", "has no column market")
    expect(_answers(scene), before, "what is answered")
    return run.summaries["retrain"][:120]


def model_is_worse(scene: Scene) -> str:
    """A model on one feature is trained, judged and refused."""
    before = _answers(scene)
    push = scene.data_scientist.push(
        "Ask for the mode only",
        {SERVICE: _only_mode, LABELS: lambda text: text.replace(_MARKET, _COUNTRY)},
    )
    run = scene.follow(push)
    expect(len(scene.service_features()), 1, "features of serving_fs")
    _expect_failed(run, "evaluate", "refused: log-loss may be")
    expect(_answers(scene), before, "what is answered")
    return run.summaries["evaluate"]


def self_test_fails(scene: Scene) -> str:
    """A model whose description does not fit it is refused by the service, which keeps the one before."""
    before = _answers(scene)
    push = scene.data_scientist.push(
        "Ask for all but loudness again; sort the inputs' names",
        {SERVICE: _all_but_loudness, DESCRIPTION: lambda text: text.replace(_IN_ORDER, _SORTED)},
    )
    run = scene.follow(push)
    expect(run.states["register"], "success", "state of register")
    _expect_failed(run, "deploy_test", "is refused by the test service: it failed its self-test")
    expect(_answers(scene), before, "what is answered")
    back = scene.follow(
        scene.data_scientist.push(
            "Keep the inputs' order", {DESCRIPTION: lambda text: text.replace(_SORTED, _IN_ORDER)}
        )
    )
    expect(back.states["retrain"], "skipped", "state of retrain, whose model is the one that answers")
    expect("failed" in back.states.values(), False, "a step of the next push failed")
    return f"{run.summaries['deploy_test'][:110]}; the next push: {back.summaries['retrain']}"


def _answers(scene: Scene) -> dict[str, object]:
    """Return which versions answer, and with which countries."""
    song = str(scene.base[KEY].iloc[0])
    return {
        alias: (
            ask(scene.stack.model_url(alias), "/model").content["version"],
            scene.predict(song, alias).countries,
        )
        for alias in ("test", "champion")
    }


def _expect_failed(run: TrainingRun, task: str, words: str) -> None:
    expect(run.states[task], "failed", f"state of {task}")
    for later in _LATER_STEPS[_LATER_STEPS.index(task) + 1 :] if task in _LATER_STEPS else _LATER_STEPS:
        expect(run.states[later], "upstream_failed", f"state of {later}")
    if words not in run.summaries[task]:
        raise StoryError(f"{task} said {run.summaries[task]!r}, not {words!r}")


def _only_mode(text: str) -> str:
    return re.sub(r'^( +)"(?!mode")(\w+)",$', r'\1# "\2",', text, flags=re.MULTILINE)


def _all_but_loudness(text: str) -> str:
    with_valence = text.replace(
        '                "mode",\n', '                "mode",\n                "valence",\n'
    )
    return re.sub(r'^( +)# "(?!loudness")(\w+)",$', r'\1"\2",', with_valence, flags=re.MULTILINE)

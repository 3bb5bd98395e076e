"""What triggers what: each row of the table, alone and together with others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from feature_ops.alerts.alert import Alert
from feature_ops.feast.definition_operators import ChangedOperator
from feature_ops.settings import Settings, get_settings
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.reasons import Reasons
from feature_ops.training.recipe import Recipe
from feature_ops.triggers import TABLE, Cause, Decision, decide

ROOT = Path(__file__).parents[2]
ALERT = Alert.model_validate(
    {"name": "DriftHigh", "fingerprint": "ab12", "starts_at": "2026-03-01T10:00:00Z"}
)
NEWEST = ModelVersion("3", "c0ffee", "data-1", Recipe("features", "code"), (), "run", "")


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def settings(**changes: Any) -> Settings:
    return Settings(**{"alert_trigger": True, "retrain_on_new_data": True, **changes})


@pytest.mark.parametrize(
    ("cause", "applies", "trains"),
    [
        (Cause.FEATURES, True, True),
        (Cause.CODE, False, True),
        (Cause.DATA, False, True),
        (Cause.ALERT, False, True),
        (Cause.WORDS, False, False),
        (Cause.FIRST, False, True),
        (Cause.FORCED, False, True),
    ],
)
def test_each_row(cause: Cause, applies: bool, trains: bool) -> None:
    assert decide({cause}, settings()) == Decision(applies, (cause,) if trains else ())


def test_every_row_is_tested_and_told() -> None:
    assert set(TABLE) == set(Cause)
    told = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    lines = [line for line in told.splitlines() if line.startswith("|")]
    for cause in Cause:
        assert any(f"| {cause.value} |" in line for line in lines), (
            f"docs/training.md does not tell “{cause}”"
        )


@pytest.mark.parametrize(
    ("cause", "setting"), [(Cause.DATA, "retrain_on_new_data"), (Cause.ALERT, "alert_trigger")]
)
def test_what_is_off_by_default_does_nothing(cause: Cause, setting: str) -> None:
    assert getattr(Settings(), setting) is False
    assert decide({cause}, settings(**{setting: False})) == Decision(False, ())


def test_features_are_not_applied_if_the_settings_say_so() -> None:
    assert not decide({Cause.FEATURES}, settings(apply_feature_changes=False)).applies


def test_both_at_once_are_one_run_with_one_apply_and_one_training() -> None:
    decision = decide({Cause.FEATURES, Cause.CODE, Cause.DATA}, settings())
    assert decision.applies
    assert decision.trains_for == (Cause.FEATURES, Cause.CODE, Cause.DATA)
    reasons = Reasons.found(Recipe("other", "other"), "data-2", NEWEST, settings())
    assert reasons.text == "its features and its code and its data changed since version 3"


@pytest.mark.parametrize("is_on", [True, False])
def test_a_run_by_alert_applies_nothing_whatever_else_has_happened(is_on: bool) -> None:
    assert not decide({Cause.ALERT, Cause.FEATURES}, settings(alert_trigger=is_on)).applies


def test_an_alert_trains_what_has_not_changed() -> None:
    found = Reasons.found(NEWEST.recipe, "data-1", NEWEST, settings(), alert=ALERT)
    assert (found.text, found.asked_for) == ("alert DriftHigh (ab12)", True)


def test_new_data_trains_only_if_the_settings_say_so() -> None:
    on, off = settings(), settings(retrain_on_new_data=False)
    assert Reasons.found(NEWEST.recipe, "data-2", NEWEST, on).text == "its data changed since version 3"
    assert Reasons.found(NEWEST.recipe, "data-2", NEWEST, off).causes == ()
    assert Reasons.found(NEWEST.recipe, "data-1", NEWEST, on).causes == ()


@pytest.mark.parametrize(
    ("needed", "conf", "apply_feature_changes", "said"),
    [
        (False, None, True, r"^nothing to apply; − loudness$"),
        (
            True,
            ALERT.conf,
            True,
            r"^started by the alert DriftHigh \(ab12\): nothing is applied; − loudness$",
        ),
        (False, ALERT.conf, True, "^nothing to apply"),
        (True, None, False, "FEATURE_OPS_APPLY_FEATURE_CHANGES is off"),
    ],
)
def test_the_step_before_apply_keeps_to_the_table(
    needed: bool, conf: Any, apply_feature_changes: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_APPLY_FEATURE_CHANGES", str(apply_feature_changes))
    with pytest.raises(AirflowSkipException, match=said):
        changed(needed, conf)


def test_a_change_that_nobody_holds_back_is_applied() -> None:
    assert changed(True, {"revision": "main"}) == {"commit": "c0ffee"}


def changed(needed: bool, conf: Any) -> dict[str, Any]:
    """Run the step before apply in a run with that configuration."""
    diff = {"needed": needed, "summary": "− loudness", "commit": "c0ffee"}
    store = SimpleNamespace(set=lambda *_, **__: None)
    context: Any = {"dag_run": SimpleNamespace(conf=conf), "task_state_store": store}
    return ChangedOperator(task_id="changed", diff=diff).execute(context)

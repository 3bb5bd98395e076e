"""A regression is accepted with a reason, which travels with the model from the form to the approval."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.recipe import Recipe
from feature_ops.training.regression import (
    REASON_LENGTH,
    AcceptedRegression,
    reason_required,
    significantly_worse,
)
from feature_ops.training.result import TrainingResult

PRIVACY = AcceptedRegression("privacy", "ada")


def result(champion: str | None = "1", **comparison: tuple[float, float]) -> TrainingResult:
    told: dict[str, Any] = {
        "run_id": "r",
        "artifact_uri": "a",
        "rows": {},
        "features": [],
        "metrics": {},
        "champion": champion and {"version": champion, "metrics": {}},
        "comparison": {
            name: {"difference": (low + high) / 2, "low": low, "high": high}
            for name, (low, high) in comparison.items()
        },
        "git_commit": "c",
        "dataset_version": "d",
        "definition_hash": "h",
        "seconds": 1,
    }
    return TrainingResult.read(json.dumps(told), "s3://x")


def version(accepted: AcceptedRegression | None = None) -> ModelVersion:
    return ModelVersion("2", "c", "d", Recipe("d", "c"), (), "run", "", accepted)


@pytest.mark.parametrize("empty", ["", "  \n ", None])
def test_an_empty_field_accepts_nothing(empty: object) -> None:
    assert AcceptedRegression.of_form(empty, "ada") is None


def test_a_reason_is_one_line_of_limited_length() -> None:
    found = AcceptedRegression.of_form(" the licence\nends " + "x" * 1000, None)
    assert found is not None
    assert found.reason.startswith("the licence ends xxx")
    assert len(found.reason) == REASON_LENGTH
    assert AcceptedRegression.of_form("cost") == AcceptedRegression("cost", "")


@pytest.mark.parametrize("regression", [PRIVACY, AcceptedRegression("cost")])
def test_it_is_the_same_after_steps_and_mlflow_kept_it(regression: AcceptedRegression) -> None:
    facts = json.loads(json.dumps({"accepted_regression": regression.facts}))
    assert AcceptedRegression.of_facts(facts) == regression
    assert AcceptedRegression.of_tags(regression.tags) == regression
    assert regression.tags["feature_ops.accepted_regression"] == regression.reason
    assert AcceptedRegression.of_facts({"accepted_regression": None}) is None
    assert AcceptedRegression.of_tags({}) is None


@pytest.mark.parametrize(
    ("compared", "worse"),
    [
        ({"log_loss": (0.01, 0.03)}, ("log_loss",)),
        ({"log_loss": (-0.01, 0.03)}, ()),
        ({"log_loss": (-0.03, -0.01)}, ()),
        ({"top5": (-0.03, -0.01)}, ("top5",)),
        ({"top5": (-0.03, 0.01)}, ()),
        ({"top5": (0.01, 0.03)}, ()),
        ({"log_loss": (0.01, 0.03), "top5": (-0.02, -0.01)}, ("log_loss", "top5")),
        ({"unknown_metric": (0.01, 0.03)}, ()),
        ({"log_loss": (0.0, 0.03)}, ()),
    ],
)
def test_worse_is_what_is_worse_with_its_whole_interval(
    compared: dict[str, tuple[float, float]], worse: tuple[str, ...]
) -> None:
    assert significantly_worse(result(**compared), "1") == worse


def test_a_comparison_with_another_champion_says_nothing() -> None:
    compared = result("1", log_loss=(0.01, 0.03))
    assert significantly_worse(compared, "2") == ()
    assert significantly_worse(compared, None) == ()
    assert significantly_worse(result(None), "1") == ()
    assert significantly_worse(None, "1") == ()


def test_an_approval_needs_a_reason_where_the_model_is_worse_or_was_accepted_as_such() -> None:
    worse, same = result(log_loss=(0.01, 0.03)), result(log_loss=(-0.01, 0.03))
    assert reason_required(version(), same, "1") is None
    assert reason_required(version(), None, None) is None
    told = reason_required(version(), worse, "1")
    assert told == (
        "**Significantly worse than the champion** (version 1) in log_loss. A reason is required to approve."
    )
    told = reason_required(version(PRIVACY), same, "3")
    assert told == "**Regression accepted**: “privacy”, ada. A reason is required to approve."

"""A model goes on only if it is not worse than the champion by more than the gates allow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.training.gates import Gates, judge
from feature_ops.training.regression import AcceptedRegression
from feature_ops.training.result import TrainingResult

GATES = Gates(log_loss_increase=0.05, recall_drop=0.3, top5_minimum=0.1)


def result(**changed: Any) -> TrainingResult:
    told: dict[str, Any] = {
        "format": 1,
        "run_id": "r",
        "artifact_uri": "s3://models/r",
        "rows": {"train": 100, "test": 5000},
        "features": ["songs:energy"],
        "metrics": {"top1": 0.2, "top5": 0.5, "log_loss": 3.0},
        "champion": {"version": "7", "metrics": {"log_loss": 3.01}},
        "comparison": {"log_loss": {"difference": -0.01, "low": -0.02, "high": 0.001}},
        "countries": {"worst": {"country": "IS", "recall5": 0.4, "champion_recall5": 0.5}},
        "git_commit": "c",
        "dataset_version": "d",
        "definition_hash": "h",
        "seconds": 3.0,
    }
    return TrainingResult.read(json.dumps(told | changed), "s3://x/result.json")


def test_a_model_that_is_not_worse_is_accepted_with_its_numbers() -> None:
    judgement = judge(result(), GATES)
    assert judgement.accepted
    assert judgement.summary == (
        "accepted: top-1 0.200, top-5 0.500, log-loss 3.000 on 5,000 rows; "
        "log-loss -0.0100 to champion v7 (95 %: -0.0200 to +0.0010)"
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"comparison": {"log_loss": {"difference": 0.03, "low": 0, "high": 0.06}}}, "log-loss may be 0.060"),
        ({"metrics": {"top1": 0.01, "top5": 0.09, "log_loss": 4.2}}, "top-5 is 0.090, below 0.1"),
        (
            {"countries": {"worst": {"country": "IS", "recall5": 0.1, "champion_recall5": 0.5}}},
            "recall of IS fell from 0.50 to 0.10",
        ),
        (
            {"comparison": {"log_loss": {"difference": 0, "low": 0, "high": float("nan")}}},
            "log-loss may be nan",
        ),
        ({"metrics": {"top1": 0.2, "top5": float("nan"), "log_loss": 3.0}}, "top-5 is nan"),
    ],
)
def test_a_worse_model_is_refused_with_the_reason(changed: dict[str, Any], reason: str) -> None:
    judgement = judge(result(**changed), GATES)
    assert not judgement.accepted
    assert reason in judgement.summary


def test_the_first_model_needs_no_champion() -> None:
    first = result(champion=None, comparison=None, countries={})
    assert judge(first, GATES).summary.endswith("no champion to compare with")


WORSE = {"comparison": {"log_loss": {"difference": 0.055, "low": 0.05, "high": 0.06}}}
LICENCE = AcceptedRegression("the licence of loudness ends", "ada")


def test_an_accepted_regression_waives_the_gates_that_compare_and_is_reported() -> None:
    recall = {"countries": {"worst": {"country": "IS", "recall5": 0.1, "champion_recall5": 0.5}}}
    judgement = judge(result(**WORSE, **recall), GATES, LICENCE)
    assert judgement.accepted
    assert len(judgement.waived) == 2
    assert judgement.summary.startswith(
        "accepted although worse than the champion (“the licence of loudness ends”, ada): log-loss may be "
        "0.060 higher than the champion's, more than 0.05; recall of IS fell"
    )
    assert "log-loss +0.0550 to champion v7" in judgement.summary


def test_an_accepted_regression_waives_no_absolute_gate() -> None:
    judgement = judge(result(metrics={"top5": 0.09}, **WORSE), GATES, LICENCE)
    assert not judgement.accepted
    assert not judgement.only_worse
    assert "top-5 is 0.090, below 0.1" in judgement.summary
    assert "log-loss may be" not in judgement.summary


def test_a_regression_that_needs_no_acceptance_is_not_reported_as_one() -> None:
    judgement = judge(result(), GATES, LICENCE)
    assert (judgement.waived, judgement.summary) == ((), judge(result(), GATES).summary)


@pytest.mark.parametrize(
    ("changed", "only_worse"), [(WORSE, True), ({**WORSE, "metrics": {"top5": 0.0}}, False)]
)
def test_only_a_comparison_can_be_waived(changed: dict[str, Any], only_worse: bool) -> None:
    assert judge(result(**changed), GATES).only_worse is only_worse


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": {"top5": float("nan")}},
        {"comparison": {"log_loss": {"difference": 0, "low": 0, "high": float("nan")}}},
        {"countries": {"worst": {"country": "IS", "recall5": float("nan"), "champion_recall5": 0.5}}},
    ],
)
def test_not_a_number_passes_no_gate(changed: dict[str, Any]) -> None:
    assert not judge(result(**changed), GATES).accepted


def test_what_is_no_result_names_the_field() -> None:
    with pytest.raises(BadInputError, match=r"s3://x/r\.json is not the result of a training \(run_id"):
        TrainingResult.read("{}", "s3://x/r.json")

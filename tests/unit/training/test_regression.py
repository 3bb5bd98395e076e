"""A regression is accepted with a reason, which travels with the model from the form to the approval."""

from __future__ import annotations

import json

import pytest

from feature_ops.training.regression import REASON_LENGTH, AcceptedRegression

PRIVACY = AcceptedRegression("privacy", "ada")


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

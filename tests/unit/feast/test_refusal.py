"""Before anything is applied, the step that classifies a commit refuses what is not supported."""

from __future__ import annotations

from typing import Any

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.feast.configuration import FeatureStoreConfiguration
from feature_ops.feast.definition_operators import DiffFeatureServiceOperator
from feature_ops.feast.diff.verdict import Change, Diff, Verdict
from feature_ops.feast.hook import FeastHook

SETTING = "enable_online_feature_view_versioning: true"
CHANGED = (Change("feature view", "v", Verdict.ADDITIVE, "+ feature tempo"),)


def refuse(diff: Diff, *, begun: str | None = None, versions_online: bool = False) -> None:
    resolved = {"commit": "0123456789abcdef", "applied": "a", "begun": begun}
    operator = DiffFeatureServiceOperator(task_id="diff", resolved=resolved)
    hook = FeastHook()
    hook.__dict__["configuration"] = FeatureStoreConfiguration(
        "shop", "sqlite://", versions_online=versions_online
    )
    operator._refuse_unsupported(diff, hook)


def test_all_reasons_are_named_with_the_commit_and_in_one_line() -> None:
    with pytest.raises(BadInputError) as refused:
        refuse(Diff(CHANGED, obstacles=("one\nreason", "another")))
    assert str(refused.value) == "commit 0123456789 cannot be applied: one reason; another"


@pytest.mark.parametrize(
    "options", [{"diff": Diff(CHANGED)}, {"diff": Diff(obstacles=("one",))}, {"diff": Diff(), "begun": "b"}]
)
def test_what_is_supported_or_changes_nothing_is_not_refused(options: dict[str, Any]) -> None:
    refuse(**options)


def test_an_apply_that_was_begun_is_not_completed_with_what_is_not_supported() -> None:
    with pytest.raises(BadInputError, match="one"):
        refuse(Diff(obstacles=("one",)), begun="b")


def test_where_each_version_has_rows_of_its_own_a_change_is_refused() -> None:
    refuse(Diff(), versions_online=True)
    with pytest.raises(BadInputError, match=f"feature_store.yaml sets `{SETTING}`.*Remove the setting"):
        refuse(Diff(CHANGED), versions_online=True)

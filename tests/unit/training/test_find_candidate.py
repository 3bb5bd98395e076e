"""The approval request is written for the right version, also when git does not respond."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from feature_ops.exceptions import BadInputError, NothingPendingError
from feature_ops.training.declaration import Model
from feature_ops.training.model_registry import CHAMPION, TEST, ModelVersion
from feature_ops.training.promotion_operators import FindCandidateOperator
from feature_ops.training.recipe import Recipe

MODEL = Model(name="toy", feature_service="tracks_fs", command=("-m", "toy"))
V1 = ModelVersion("1", "a" * 40, "data-1", Recipe("d", "c"), ("songs:energy",), "run-1", "")
V2 = replace(V1, version="2", features=("songs:tempo",))


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelVersion]:
    """The registry's versions by alias; git does not respond."""
    found: dict[str, ModelVersion] = {}
    registry = SimpleNamespace(
        by_alias=found.get,
        by_number=lambda number: {"1": V1, "2": V2}.get(number),
        metrics=lambda version: {"loss": 0.5},
    )
    monkeypatch.setattr(FindCandidateOperator, "registry", lambda self: registry)
    record = SimpleNamespace(state=lambda: SimpleNamespace(current=found.get(CHAMPION), missing=None))
    monkeypatch.setattr(FindCandidateOperator, "champion_record", lambda self, store: record)
    monkeypatch.setattr("feature_ops.feast.hook.FeastHook.object_store", None)

    def away(conn_id: str) -> Any:
        raise OSError("https://ada:hunter2@git.example.com is away")

    monkeypatch.setattr("feature_ops.git.hook.GitRepositoryHook", away)
    return found


def facts(version: str = "") -> dict[str, Any]:
    return FindCandidateOperator(task_id="find", model=MODEL, version=version).reconcile({}).facts  # type: ignore[arg-type]


def test_the_version_in_test_is_the_candidate_though_git_does_not_respond(
    versions: dict[str, ModelVersion], caplog: pytest.LogCaptureFixture
) -> None:
    versions |= {TEST: V2, CHAMPION: V1}
    found = facts()
    assert (found["version"], found["champion"], found["in_test"]) == ("2", "1", "2")
    assert found["subject"] == "Promote toy v2 to production (replaces v1)?"
    assert "- Commit: `aaaaaaaaaa`\n" in found["body"]
    assert "hunter2" not in caplog.text


def test_an_older_version_can_be_named(versions: dict[str, ModelVersion]) -> None:
    versions |= {TEST: V2, CHAMPION: V2}
    assert facts(" 1 ")["subject"] == "Promote toy v1 to production (replaces v2)?"
    with pytest.raises(NothingPendingError, match="version 2 of toy is in production"):
        facts()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("9", "toy has no version '9'"),
        ("https://ada:hunter2@host", r"toy has no version 'https://\*\*\*@host'"),
        ("", "no version of toy is deployed in test yet"),
    ],
)
def test_a_version_that_does_not_exist_is_refused(
    version: str, words: str, versions: dict[str, ModelVersion]
) -> None:
    with pytest.raises(BadInputError, match=words) as refused:
        facts(version)
    assert "hunter2" not in str(refused.value)

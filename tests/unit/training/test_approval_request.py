"""A person is told what changes, how it was measured and where to look, before production changes."""

from __future__ import annotations

import json
from typing import Any

from feature_ops.training.approval_request import Links, Scored, body, features_changed, subject
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.recipe import Recipe
from feature_ops.training.result import TrainingResult

NO_LINKS = Links(None, None, None)


def scored(version: str, features: tuple[str, ...], **metrics: float) -> Scored:
    found = ModelVersion(version, "1a2b3c4d5e6f", "9f8e7d6c5b4a", Recipe("d", "c"), features, "run", "")
    return Scored(found, metrics)


CANDIDATE = scored("3", ("songs:energy",), top5=0.5, log_loss=3.0)
CHAMPION = scored("1", ("songs:energy", "songs:loudness"), top5=0.4, log_loss=3.1)


def result(champion: str) -> TrainingResult:
    told: dict[str, Any] = {
        "run_id": "r",
        "artifact_uri": "a",
        "rows": {},
        "features": [],
        "metrics": {},
        "champion": {"version": champion, "metrics": {}},
        "comparison": {"log_loss": {"difference": -0.1, "low": -0.2, "high": -0.05}},
        "git_commit": "c",
        "dataset_version": "d",
        "definition_hash": "h",
        "seconds": 1,
    }
    return TrainingResult.read(json.dumps(told), "s3://x")


def test_the_headline_names_both_versions() -> None:
    assert (
        subject("jukebox", CANDIDATE, CHAMPION) == "Version 3 of jukebox to production instead of version 1?"
    )
    assert subject("jukebox", CANDIDATE, None) == "Version 3 of jukebox to production?"


def test_features_that_come_and_go_are_listed() -> None:
    assert features_changed(["a:x", "a:new"], ["a:x", "a:old"]) == ["− a:old", "+ a:new"]
    told = body(CANDIDATE, CHAMPION, None, NO_LINKS)
    assert told.startswith("**Features**: 1 instead of 2\n\n- `− songs:loudness`")
    assert body(CANDIDATE, scored("1", ("songs:energy",)), None, NO_LINKS).startswith(
        "**Features**: the same 1"
    )


def test_scores_stand_beside_each_other() -> None:
    told = body(CANDIDATE, CHAMPION, None, NO_LINKS)
    assert "| | version 3 | champion, version 1 |\n|---|---:|---:|\n| top5 | 0.5000 | 0.4000 |" in told


def test_the_comparison_counts_only_against_todays_champion() -> None:
    assert "- log_loss: -0.1000 (95 %: -0.2000 to -0.0500)" in body(
        CANDIDATE, CHAMPION, result("1"), NO_LINKS
    )
    told = body(CANDIDATE, CHAMPION, result("2"), NO_LINKS)
    assert "was compared with version 2, which is not the champion any more" in told
    assert "95 %" not in told


def test_links_lead_to_commit_mlflow_and_the_page() -> None:
    told = body(
        CANDIDATE, CHAMPION, None, Links("https://git/c/{commit}", "https://mlflow/v", "https://test")
    )
    assert "[`1a2b3c4d5e`](https://git/c/1a2b3c4d5e6f)" in told
    assert "(https://mlflow/v)" in told
    assert "(https://test)" in told
    assert "- commit `1a2b3c4d5e`\n- data `9f8e7d6c5b`" in body(CANDIDATE, CHAMPION, None, NO_LINKS)

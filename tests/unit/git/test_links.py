"""The link from a task to its commit."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.execution_time.xcom import XCom

from feature_ops.dvc.operators import VersionWithDvcOperator
from feature_ops.git.links import GitCommitLink


@pytest.mark.parametrize(
    ("facts", "link"),
    [
        ({"commit": "1a2b", "commit_url": "http://web/1a2b"}, "http://web/1a2b"),
        ({"commit": "1a2b", "commit_url": None}, ""),
        (None, ""),  # the task failed
    ],
)
def test_the_link_leads_to_the_commit_if_there_is_one(
    facts: dict[str, Any] | None, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(XCom, "get_value", lambda **_: facts)
    assert GitCommitLink().get_link(None, ti_key=None) == link  # type: ignore[arg-type]


def test_the_version_step_has_the_link() -> None:
    assert "Git commit" in [link.name for link in VersionWithDvcOperator.operator_extra_links]

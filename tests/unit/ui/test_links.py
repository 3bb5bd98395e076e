"""A task links to what it made, and to nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.execution_time.xcom import XCom

from feature_ops.dvc.operators import VersionWithDvcOperator
from feature_ops.feast.definition_operators import ApplyOperator, DiffFeatureServiceOperator
from feature_ops.settings import get_settings
from feature_ops.training.operators import DeployTestOperator, EvaluateOperator, RetrainOperator
from feature_ops.training.promotion_operators import PromoteOperator
from feature_ops.ui.links import DvcVersionLink, FactLink, MlflowRunLink, ModelPageLink


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FEATURE_OPS_GIT_FILE_URL", "http://git/blob/{commit}/{path}")
    monkeypatch.setenv("FEATURE_OPS_MLFLOW_TRACKING_URI", "http://mlflow/")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def leads_to(link: FactLink, facts: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(XCom, "get_value", lambda **_: facts)
    return link.get_link(None, ti_key=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("link", "facts", "address"),
    [
        (DvcVersionLink(), {"commit": "1a", "pointers": ["data/a.dvc"]}, "http://git/blob/1a/data/a.dvc"),
        (DvcVersionLink(), {"commit": "1a", "pointers": ["data/a", "data/b"]}, "http://git/blob/1a/data"),
        (DvcVersionLink(), {"commit": "1a", "pointers": []}, ""),
        (MlflowRunLink(), {"run_id": "ab"}, "http://mlflow/#/runs/ab"),
        (MlflowRunLink(), {"run_id": None}, ""),
        (ModelPageLink(), {"service_url": "http://test"}, "http://test"),
        (ModelPageLink(), {"service_url": None}, ""),
        (ModelPageLink(), None, ""),  # the task failed
    ],
)
@pytest.mark.usefixtures("addresses")
def test_a_link_leads_to_what_the_task_made(
    link: FactLink, facts: dict[str, Any] | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert leads_to(link, facts, monkeypatch) == address


@pytest.mark.parametrize(
    ("link", "facts"),
    [(DvcVersionLink(), {"commit": "1a", "pointers": ["data/a.dvc"]}), (MlflowRunLink(), {"run_id": "ab"})],
)
def test_there_is_no_link_where_no_address_is_set(
    link: FactLink, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEATURE_OPS_GIT_FILE_URL", raising=False)
    monkeypatch.delenv("FEATURE_OPS_MLFLOW_TRACKING_URI", raising=False)
    get_settings.cache_clear()
    assert leads_to(link, facts, monkeypatch) == ""


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        (VersionWithDvcOperator, ["Git commit", "DVC version"]),
        (DiffFeatureServiceOperator, ["Git commit"]),
        (ApplyOperator, ["Git commit"]),
        (RetrainOperator, ["MLflow run"]),
        (EvaluateOperator, ["MLflow run"]),
        (DeployTestOperator, ["MLflow run", "Model page"]),
        (PromoteOperator, ["Model page"]),
    ],
)
def test_the_steps_have_the_links_that_may_lead_somewhere(operator: type[Any], names: list[str]) -> None:
    assert [link.name for link in operator.operator_extra_links] == names

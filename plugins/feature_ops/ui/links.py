"""The extra links from a task to the data version, the training and the model that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class FactLink(BaseOperatorLink):
    """Base of the links that follow from a task's facts; no link where :meth:`address` returns none."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or nothing."""
        from airflow.sdk.execution_time.xcom import XCom

        facts = XCom.get_value(ti_key=ti_key, key="return_value")
        return (self.address(facts) or "") if facts else ""

    def address(self, facts: Mapping[str, Any]) -> str | None:
        """Return where the link leads by what the task has returned."""
        raise NotImplementedError


class DvcVersionLink(FactLink):
    """Leads to the pointers of the files that the task versioned, if ``FEATURE_OPS_GIT_FILE_URL`` is set."""

    name = "DVC version"

    def address(self, facts: Mapping[str, Any]) -> str | None:
        """One file leads to its pointer, several lead to the folder."""
        template, pointers = get_settings().git_file_url, facts.get("pointers")
        if not template or not pointers:
            return None
        path = pointers[0] if len(pointers) == 1 else pointers[0].rsplit("/", 1)[0]
        return template.replace("{commit}", str(facts["commit"])).replace("{path}", path)


class MlflowRunLink(FactLink):
    """Leads to the training's run in MLflow, with its metrics and plots."""

    name = "MLflow run"

    def address(self, facts: Mapping[str, Any]) -> str | None:
        """MLflow knows a run's experiment by itself."""
        mlflow, run_id = get_settings().mlflow_page, facts.get("run_id")
        return f"{mlflow}/#/runs/{run_id}" if run_id and mlflow else None


class ModelPageLink(FactLink):
    """Leads to the page of the service that answers with the model."""

    name = "Model page"

    def address(self, facts: Mapping[str, Any]) -> str | None:
        """The step that deployed it says where."""
        url = facts.get("service_url")
        return str(url) if url else None

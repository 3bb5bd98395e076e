"""The extra link from a task to the commit it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class GitCommitLink(BaseOperatorLink):
    """Leads to the commit in the git server's web view, if ``FEATURE_OPS_GIT_COMMIT_URL`` is set."""

    name = "Git commit"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the task's facts hold, or nothing."""
        from airflow.sdk.execution_time.xcom import XCom

        facts = XCom.get_value(ti_key=ti_key, key="return_value")
        return (facts or {}).get("commit_url") or ""

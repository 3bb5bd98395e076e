"""Six tasks in a row that do nothing: what Airflow itself takes for a DAG of the ETL's shape."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, BaseOperator, Context, chain


class NothingOperator(BaseOperator):
    """Start as a task does and return at once; an EmptyOperator would never reach a worker."""

    def execute(self, context: Context) -> None:
        """Do nothing."""


with DAG("six_empty_tasks", schedule=None, start_date=datetime(2024, 1, 1), catchup=False) as dag:
    chain(*(NothingOperator(task_id=f"nothing_{number}") for number in range(1, 7)))

"""
Deploy an approved candidate to production.

Each new candidate starts a run. The task *approve* waits for an approval (in Airflow: *Required actions*).
The request shows the metrics compared with the champion, the gates, the feature changes and where to try the
candidate. A newer candidate replaces an older one. If the candidate is rejected, or nobody responds in time,
production stays as it is. For a rollback, trigger the DAG with an older version.

See docs/training.md, and docs/operations.md for the rollback.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG
from jukebox_model import JUKEBOX

from feature_ops.assets import model_candidate_asset
from feature_ops.forms import model_version_field
from feature_ops.training.promotion_operators import (
    ApproveOperator,
    FindCandidateOperator,
    PromoteOperator,
)

with DAG(
    dag_id="promote_model",
    dag_display_name="Promote model",
    description="Deploy an approved candidate to production",
    doc_md=__doc__,
    schedule=model_candidate_asset(JUKEBOX),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    # Those that wait for a person must not hold up a newer candidate.
    max_active_runs=16,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params=model_version_field(),
) as dag:
    find_candidate = FindCandidateOperator(
        task_id="find_candidate",
        model=JUKEBOX,
        version="{{ params.model_version or '' }}",
    )
    approve = ApproveOperator(
        task_id="approve",
        model=JUKEBOX,
        candidate=find_candidate.output,
    )
    promote = PromoteOperator(
        task_id="promote",
        model=JUKEBOX,
        candidate=find_candidate.output,
        approval=approve.output,
    )

    find_candidate >> approve >> promote

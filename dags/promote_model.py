"""
A candidate that answers in test goes to production, when a person says so.

Each new candidate starts a run. The step *approve* waits for a person (in Airflow: *Required actions*), who
sees what changed, the scores beside the champion's and where to try it. A newer candidate takes the older
one's place; rejected or unanswered, production stays as it is. Trigger it with an older version to go back.

See docs/training.md, and docs/operations.md for the way back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from jukebox_model import JUKEBOX

from feature_ops.assets import model_candidate_asset
from feature_ops.training.promotion_operators import (
    ApproveOperator,
    FindCandidateOperator,
    PromoteOperator,
)

with DAG(
    dag_id="promote_model",
    dag_display_name="Promote model: from test to production, with approval",
    description="Have production answer with a candidate once a person has approved it",
    doc_md=__doc__,
    schedule=model_candidate_asset(JUKEBOX),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    # Those that wait for a person must not hold up a newer candidate.
    max_active_runs=16,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "model_version": Param(
            None,
            type=["null", "string"],
            title="Model version",
            description="Number of the version in MLflow. Empty: the one that answers in test.",
            examples=["3"],
            pattern=r"^\s*[0-9]*\s*$",
        ),
    },
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

"""
A changed feature definition is applied to the feature store, and what it needs is backfilled.

A commit to the watched branch starts a run within seconds. The run takes the newest commit, compares it by
meaning with the one that is applied, and does nothing further if no feature changed: comments, order and
formatting are no change. A commit that does not load, or that takes away what is still read, fails here and
changes nothing. See docs/diff.md for the verdicts and docs/operations.md for the way back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from song_properties import SONG_PROPERTIES

from feature_ops.assets import feature_definitions_asset
from feature_ops.feast.definition_operators import (
    ApplyOperator,
    ChangedOperator,
    DiffFeatureServiceOperator,
    ResolveCommitsOperator,
)
from feature_ops.feast.operators import BackfillOperator
from feature_ops.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="continuous_training",
    dag_display_name="Continuous training: from a commit to served features",
    description="Apply changed feature definitions and backfill what they need",
    doc_md=__doc__,
    schedule=feature_definitions_asset(),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "revision": Param(
            None,
            type=["null", "string"],
            title="Revision",
            description=(
                f"Branch, tag or commit to apply. Empty: the newest commit of {settings.git_branch}. "
                "An older one is the way back."
            ),
            examples=["main", "v1.2", "1a2b3c4d5e"],
            pattern=r"^[^\s~^:?*\[\\]+$",
        ),
        "force_training": Param(
            False,
            type="boolean",
            title="Force training",
            description="Train even if no feature changed.",
        ),
    },
) as dag:
    resolve_commits = ResolveCommitsOperator(
        task_id="resolve_commits",
        revision="{{ params.revision or '' }}",
    )
    diff_feature_service = DiffFeatureServiceOperator(
        task_id="diff_feature_service",
        resolved=resolve_commits.output,
        feature_service=SONG_PROPERTIES.feature_service,
    )
    changed = ChangedOperator(
        task_id="changed",
        diff=diff_feature_service.output,
    )
    apply = ApplyOperator(
        task_id="apply",
        diff=diff_feature_service.output,
        pool=settings.feature_store_pool,
    )
    backfill = BackfillOperator(
        task_id="backfill",
        datasets=[SONG_PROPERTIES],
        pool=settings.feature_store_pool,
    )

    resolve_commits >> diff_feature_service >> changed >> apply >> backfill

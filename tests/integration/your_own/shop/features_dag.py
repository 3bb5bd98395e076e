"""A changed definition becomes online features."""

from __future__ import annotations

from airflow.sdk import DAG
from datasets import RATINGS, STOCK

from feature_ops.assets import feature_definitions_asset
from feature_ops.feast.definition_operators import (
    ApplyOperator,
    ChangedOperator,
    DiffFeatureServiceOperator,
    ResolveCommitsOperator,
)
from feature_ops.feast.operators import BackfillOperator
from feature_ops.forms import revision_field

with DAG(dag_id="shop_features", schedule=feature_definitions_asset(), params=revision_field()) as dag:
    resolve = ResolveCommitsOperator(task_id="resolve", revision="{{ params.revision or '' }}")
    diff = DiffFeatureServiceOperator(task_id="diff", resolved=resolve.output)
    changed = ChangedOperator(task_id="changed", diff=diff.output)
    apply = ApplyOperator(task_id="apply", diff=diff.output)
    backfill = BackfillOperator(task_id="backfill", datasets=[STOCK, RATINGS])

    resolve >> diff >> changed >> apply >> backfill

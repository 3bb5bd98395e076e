"""
A changed feature definition becomes a model that answers: applied, backfilled, trained, judged, deployed.

A commit to the watched branch starts a run within seconds. The run takes the newest commit, compares it by
meaning with the one that is applied, and does nothing further if no feature changed: comments, order and
formatting are no change. A commit that does not load, or that takes away what is still read, fails here
and changes nothing; a model that is worse than the champion is refused, and the one before it stays. In the
end a run acknowledges its commit; until then the watcher reports it again, so a commit that was pushed while
the DAG was paused, or whose run failed because a server was down, is evaluated later.

An alert may start a run, too, if the settings say so: it trains and applies nothing.

See docs/diff.md for the verdicts, docs/training.md for what triggers what and for the gates,
docs/operations.md for the way back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, TriggerRule
from jukebox_model import JUKEBOX
from song_properties import SONG_PROPERTIES

from feature_ops.assets import FEATURE_DEFINITIONS, model_candidate_asset, training_schedule
from feature_ops.feast.acknowledge_operator import AcknowledgeOperator
from feature_ops.feast.definition_operators import (
    ApplyOperator,
    ChangedOperator,
    DiffFeatureServiceOperator,
    ResolveCommitsOperator,
)
from feature_ops.feast.operators import BackfillOperator
from feature_ops.forms import accept_regression_field, force_training_field, revision_field
from feature_ops.settings import get_settings
from feature_ops.training.operators import (
    DeployTestOperator,
    EvaluateOperator,
    RegisterOperator,
    RetrainOperator,
)

settings = get_settings()

with DAG(
    dag_id="continuous_training",
    dag_display_name="Continuous training",
    description="Apply a changed feature definition, train a model on it and deploy it in test",
    doc_md=__doc__,
    schedule=training_schedule(JUKEBOX, [SONG_PROPERTIES], evaluated_by="continuous_training"),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        **revision_field(),
        **force_training_field(),
        **accept_regression_field(),
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
        entity_columns=SONG_PROPERTIES.keys,
        datasets=[SONG_PROPERTIES],
        code_paths=[JUKEBOX.code_path],
    )
    changed = ChangedOperator(
        task_id="changed",
        diff=diff_feature_service.output,
    )
    apply = ApplyOperator(
        task_id="apply",
        diff=diff_feature_service.output,
        changed=changed.output,
        pool=settings.feature_store_pool,
    )
    backfill = BackfillOperator(
        task_id="backfill",
        datasets=[SONG_PROPERTIES],
        applied=apply.output,
        pool=settings.feature_store_pool,
    )

    retrain = RetrainOperator(
        task_id="retrain",
        model=JUKEBOX,
        diff=diff_feature_service.output,
        changed=changed.output,
        backfilled=backfill.output,
        force="{{ params.force_training }}",
        accept_regression_reason="{{ params.accept_regression_reason or '' }}",
        datasets=[SONG_PROPERTIES],
        # A model may be missing though nothing was applied: the last training failed, or is forced.
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    evaluate = EvaluateOperator(
        task_id="evaluate",
        model=JUKEBOX,
        trained=retrain.output,
        accept_regression_reason="{{ params.accept_regression_reason or '' }}",
    )
    register = RegisterOperator(
        task_id="register",
        model=JUKEBOX,
        evaluated=evaluate.output,
    )
    deploy_test = DeployTestOperator(
        task_id="deploy_test",
        model=JUKEBOX,
        registered=register.output,
        outlets=[model_candidate_asset(JUKEBOX)],
    )

    acknowledge = AcknowledgeOperator(
        task_id="acknowledge",
        asset=FEATURE_DEFINITIONS,
    ).as_teardown()

    resolve_commits >> diff_feature_service >> changed >> apply >> backfill
    backfill >> retrain >> evaluate >> register >> deploy_test >> acknowledge

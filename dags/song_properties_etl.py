"""
New songs become online features: ingest, validate, version, publish, materialize, verify.

Every step compares what is wanted with what is there and closes the difference, so a run that
died is completed by any later run. See docs/architecture.md for the commit points.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG
from song_properties import SONG_PROPERTIES

from feature_ops.assets import dataset_asset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator
from feature_ops.forms import etl_form
from feature_ops.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="song_properties_etl",
    dag_display_name="Song properties ETL",
    description="Load a parquet file of songs as versioned data and fresh online features",
    doc_md=__doc__,
    schedule=settings.etl_schedule,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params=etl_form(SONG_PROPERTIES, settings.etl_dataset_url),
) as dag:
    ingest = IngestOperator(
        task_id="ingest",
        dataset=SONG_PROPERTIES,
        dataset_url="{{ params.dataset_url or '' }}",
    )
    validate = ValidateOperator(
        task_id="validate",
        dataset=SONG_PROPERTIES,
        ingested=ingest.output,
        event_timestamp_column="{{ params.event_timestamp_column or '' }}",
        repo_url="{{ params.repo_url or '' }}",
    )
    version_with_dvc = VersionWithDvcOperator(
        task_id="version_with_dvc",
        dataset=SONG_PROPERTIES,
        validated=validate.output,
        repo_url="{{ params.repo_url or '' }}",
    )
    upload_to_s3 = UploadToS3Operator(
        task_id="upload_to_s3",
        dataset=SONG_PROPERTIES,
        versioned=version_with_dvc.output,
        repo_url="{{ params.repo_url or '' }}",
    )
    materialize_incremental = MaterializeIncrementalOperator(
        task_id="materialize_incremental",
        dataset=SONG_PROPERTIES,
        versioned=version_with_dvc.output,
        uploaded=upload_to_s3.output,
        full_refresh="{{ params.full_refresh }}",
        pool=settings.feature_store_pool,
        outlets=[dataset_asset(SONG_PROPERTIES)],
    )
    verify_online = VerifyOnlineOperator(
        task_id="verify_online",
        dataset=SONG_PROPERTIES,
        materialized=materialize_incremental.output,
        pool=settings.feature_store_pool,
    )

    ingest >> validate >> version_with_dvc >> upload_to_s3 >> materialize_incremental >> verify_online

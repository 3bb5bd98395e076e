"""
New songs become online features: ingest, validate, version, publish, materialize, verify.

Every step compares what is wanted with what is there and closes the difference, so a run that
died is completed by any later run. See docs/architecture.md for the commit points.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from song_properties import SONG_PROPERTIES

from feature_ops.assets import dataset_asset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator
from feature_ops.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="song_properties_etl",
    dag_display_name="Song properties: from a file to online features",
    description="Turn a parquet file of songs into versioned data and fresh online features",
    doc_md=__doc__,
    schedule=settings.etl_schedule,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "dataset_url": Param(
            settings.etl_dataset_url,
            type=["null", "string"],
            title="Dataset URL",
            description=(
                "Parquet file to ingest. Rows that are already known are left out. No user name or password; "
                "Airflow keeps a signed URL with the run, for all who may see it."
            ),
            examples=["https://example.org/new_songs.parquet", "s3://data/inbox/new_songs.parquet"],
            # A user name or password is refused before it is kept with a run.
            pattern=r"^[a-z][a-z0-9]*://[^\s/?#@]*([/?#]\S*)?$",
        ),
        "repo_url": Param(
            None,
            type=["null", "string"],
            title="Repository URL",
            description=(
                f"Git repository that keeps the data's versions. Empty: that of the connection "
                f"{settings.git_conn_id}; any other must be on the same host."
            ),
            pattern=r"^(?!https?://[^/]*@)\S+$",
        ),
        "event_timestamp_column": Param(
            None,
            type=["null", "string"],
            title="Event timestamp column",
            description=(
                "Column that says when a row became true. Empty: event_timestamp or snapshot_date; "
                "a file without one is stamped with the run's time."
            ),
            pattern=r"^\S+$",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Load the whole history into the online store again, not only what is new.",
        ),
    },
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
    )
    version_with_dvc = VersionWithDvcOperator(
        task_id="version_with_dvc",
        dataset=SONG_PROPERTIES,
        repo_url="{{ params.repo_url or '' }}",
    )
    upload_to_s3 = UploadToS3Operator(
        task_id="upload_to_s3",
        dataset=SONG_PROPERTIES,
        repo_url="{{ params.repo_url or '' }}",
    )
    materialize_incremental = MaterializeIncrementalOperator(
        task_id="materialize_incremental",
        dataset=SONG_PROPERTIES,
        versioned=version_with_dvc.output,
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

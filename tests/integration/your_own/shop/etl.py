"""New rows become online features."""

from __future__ import annotations

from airflow.sdk import DAG
from datasets import DATASET

from feature_ops.assets import dataset_asset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator
from feature_ops.forms import etl_form

with DAG(dag_id=f"{DATASET.name}_etl", schedule=None, params=etl_form(DATASET)) as dag:
    ingest = IngestOperator(task_id="ingest", dataset=DATASET, dataset_url="{{ params.dataset_url or '' }}")
    validate = ValidateOperator(task_id="validate", dataset=DATASET, ingested=ingest.output)
    version = VersionWithDvcOperator(task_id="version", dataset=DATASET)
    upload = UploadToS3Operator(task_id="upload", dataset=DATASET)
    materialize = MaterializeIncrementalOperator(
        task_id="materialize",
        dataset=DATASET,
        versioned=version.output,
        outlets=[dataset_asset(DATASET)],
    )
    verify = VerifyOnlineOperator(task_id="verify", dataset=DATASET, materialized=materialize.output)

    ingest >> validate >> version >> upload >> materialize >> verify

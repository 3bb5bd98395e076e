"""
Record the drift of the model in production: how far recent requests are from its training set.

The *Feature store* page shows the values over time. Alerts on drift come from Prometheus, see
docs/operations.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG
from jukebox_model import JUKEBOX

from feature_ops.settings import get_settings
from feature_ops.training.drift_operators import MeasureDriftOperator

with DAG(
    dag_id="model_drift",
    dag_display_name="Model drift",
    description="Record the drift of the model in production",
    doc_md=__doc__,
    schedule=get_settings().drift_schedule,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
) as dag:
    MeasureDriftOperator(task_id="measure_drift", model=JUKEBOX)

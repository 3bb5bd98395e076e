"""
Compare the three copies of the songs' files, and restore what one of them lacks.

Git's pointers, the DVC remote and the history are compared by listings, which costs no more than a few
requests. A file that none of them holds fails the run, which names it with the commit that added it; nothing
else is held up. See docs/operations.md for the remedy.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG
from song_properties import SONG_PROPERTIES

from feature_ops.dvc.operators import CheckCopiesOperator
from feature_ops.settings import get_settings

settings = get_settings()

with DAG(
    dag_id="song_properties_check",
    dag_display_name="Song properties check",
    description="Compare git, the DVC remote and the history, and restore missing copies",
    doc_md=__doc__,
    schedule=settings.check_schedule,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["feature store", "songs"],
    default_args={"owner": "feature-store", "retries": 2, "retry_delay": timedelta(seconds=30)},
) as dag:
    CheckCopiesOperator(
        task_id="check_copies",
        dataset=SONG_PROPERTIES,
    )

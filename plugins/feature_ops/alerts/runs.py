"""The runs that alerts start; works in the API server, which reaches Airflow's database."""

from __future__ import annotations

from dataclasses import dataclass

from feature_ops.alerts.alert import Alert
from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings


@dataclass(frozen=True)
class Started:
    """
    What came of an alert.

    :param new: whether the run is started now, or was there already.
    :param waits: whether the DAG is paused, so that the run waits.
    """

    run_id: str
    new: bool
    waits: bool = False


def start_run(alert: Alert) -> Started:
    """
    Start the alert's run, unless it is there already.

    :raises FeatureOpsError: there is no such DAG.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagNotFound, DagRunAlreadyExists
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy.exc import IntegrityError

    dag_id = get_settings().alert_dag
    try:
        trigger_dag(
            dag_id,
            run_id=alert.run_id,
            conf=alert.conf,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name="Alertmanager",
        )
    except (DagRunAlreadyExists, IntegrityError):
        # The database refuses the second of two that come at the same moment.
        return Started(alert.run_id, new=False)
    except DagNotFound:
        raise FeatureOpsError(
            f"Airflow knows no DAG {dag_id} yet: wait until its file is parsed, look for import errors, or "
            "correct FEATURE_OPS_ALERT_DAG"
        ) from None
    return Started(alert.run_id, new=True, waits=_is_paused(dag_id))


def _is_paused(dag_id: str) -> bool:
    from airflow.models import DagModel

    dag = DagModel.get_current(dag_id)
    return bool(dag and dag.is_paused)

"""The credentials of a training that is a process: of its own connections, not of the feature store's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from feature_ops.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingCredentials:
    """
    What a training gets to reach its stores.

    :param environment: its variables.
    :param secrets: values in them that are masked in its output.
    :param ports: TCP ports of the stores.
    """

    environment: dict[str, str]
    secrets: set[str]
    ports: set[int]

    @classmethod
    def of(cls, settings: Settings, feature_repo: Path) -> TrainingCredentials:
        """
        Read the connections that the settings name for trainings.

        :param feature_repo: folder of the feature_store.yaml that the training uses.
        """
        from feature_ops.feast.configuration import read_content
        from feature_ops.feast.hook import FeastHook
        from feature_ops.training.store_ports import store_ports

        if settings.training_aws_conn_id is None or settings.training_feast_conn_id is None:
            log.warning(
                "The training has the credentials of the feature store: set FEATURE_OPS_TRAINING_AWS_CONN_ID "
                "and FEATURE_OPS_TRAINING_FEAST_CONN_ID to connections with fewer rights"
            )
        hook = FeastHook(settings.training_feast_conn_id, settings.training_aws_conn_id, feature_repo)
        environment = {
            **hook.environment(),
            "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri or "",
            **settings.training_environment,
        }
        ports = store_ports(read_content(feature_repo, environment), environment)
        return cls(environment, hook.secrets(), ports | set(settings.training_ports))

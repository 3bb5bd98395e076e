"""The Airflow connections of a stack, as environment variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from feature_ops.object_store import ObjectStore


def connection_variables(
    object_store: ObjectStore,
    git_url: str,
    git_login: str,
    git_password: str,
    feast_environment: Mapping[str, str],
    alert_token: str | None = None,
    training: tuple[ObjectStore, Mapping[str, str]] | None = None,
) -> dict[str, str]:
    """
    Return the ``AIRFLOW_CONN_*`` variables of the object store, the git repository, Feast and alerts.

    :param git_url: the repository's HTTP URL, without login and password.
    :param feast_environment: what fills the ``${...}`` of feature_store.yaml.
    :param alert_token: what Alertmanager has to send; no connection without one.
    :param training: object store and Feast's environment with the credentials of trainings; no connections
        ``training_aws`` and ``training_feast`` without them.
    """
    connections = {
        "AWS_DEFAULT": _aws(object_store),
        "GIT_DEFAULT": {"conn_type": "git", "host": git_url, "login": git_login, "password": git_password},
        "FEAST_DEFAULT": _feast(feast_environment),
    }
    if training:
        connections |= {"TRAINING_AWS": _aws(training[0]), "TRAINING_FEAST": _feast(training[1])}
    if alert_token:
        connections["ALERT_DEFAULT"] = {"conn_type": "generic", "password": alert_token}
    return {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}


def _aws(store: ObjectStore) -> dict[str, Any]:
    return {
        "conn_type": "aws",
        "login": store.access_key,
        "password": store.secret_key,
        "extra": {"endpoint_url": store.endpoint_url, "region_name": store.region},
    }


def _feast(environment: Mapping[str, str]) -> dict[str, Any]:
    return {"conn_type": "generic", "extra": {"environment": dict(environment)}}

"""A training that is a process gets the credentials of its own connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.connections import connection_variables
from feature_ops.object_store import ObjectStore
from feature_ops.settings import Settings
from feature_ops.training.credentials import TrainingCredentials
from tests.conftest import PROJECT

ENDPOINT = "http://127.0.0.1:8333"


def feast(role: str) -> dict[str, str]:
    return {
        "FEAST_REGISTRY_URL": f"postgresql+psycopg://{role}:password-of-{role}@127.0.0.1:5433/feast",
        "FEAST_ONLINE_STORE": f"127.0.0.1:6380,username={role},password=password-of-{role}",
    }


def store(name: str) -> ObjectStore:
    return ObjectStore(name, f"secret-of-{name}", region="us-east-1", endpoint_url=ENDPOINT)


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = connection_variables(
        store("airflow"),
        "http://127.0.0.1:3000/jukebox.git",
        "jukebox",
        "password-of-git",
        feast("owner"),
        training=(store("training"), feast("reader")),
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def credentials(**settings: str) -> TrainingCredentials:
    return TrainingCredentials.of(
        Settings(mlflow_tracking_uri="http://127.0.0.1:5000", **settings),  # type: ignore[arg-type]
        Path(PROJECT / "feature_repo"),
    )


def test_a_training_gets_its_own_credentials_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    found = credentials(training_aws_conn_id="training_aws", training_feast_conn_id="training_feast")
    assert found.environment["AWS_ACCESS_KEY_ID"] == "training"
    assert found.environment["FEAST_REGISTRY_URL"] == feast("reader")["FEAST_REGISTRY_URL"]
    given = json.dumps(found.environment)
    for other in ("secret-of-airflow", "password-of-owner", "password-of-git"):
        assert other not in given
    assert {"secret-of-training", "password-of-reader"} <= found.secrets
    assert found.ports == {8333, 5433, 6380, 5000}
    assert "has the credentials of the feature store" not in caplog.text


def test_without_connections_of_its_own_it_has_those_of_the_feature_store_and_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert credentials().environment["AWS_ACCESS_KEY_ID"] == "airflow"
    assert "set FEATURE_OPS_TRAINING_AWS_CONN_ID and FEATURE_OPS_TRAINING_FEAST_CONN_ID" in caplog.text

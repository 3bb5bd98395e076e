"""The token is kept in an Airflow connection; the endpoint is there only if the settings say so."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from feature_ops.alerts.credentials import NoTokenError, kept_token
from feature_ops.alerts.mount import URL_PREFIX, alert_apps
from feature_ops.settings import get_settings


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_token_is_the_connections_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALERT_TEST", json.dumps({"conn_type": "generic", "password": "b1c2"}))
    assert kept_token("alert_test") == "b1c2"


def test_a_connection_that_is_missing_or_has_no_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoTokenError, match="create the connection alert_nowhere with a token"):
        kept_token("alert_nowhere")
    monkeypatch.setenv("AIRFLOW_CONN_ALERT_EMPTY", json.dumps({"conn_type": "generic"}))
    with pytest.raises(NoTokenError, match="the connection alert_empty has no password"):
        kept_token("alert_empty")


def test_there_is_no_endpoint_until_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alert_apps() == []
    monkeypatch.setenv("FEATURE_OPS_ALERT_TRIGGER", "true")
    get_settings.cache_clear()
    (entry,) = alert_apps()
    assert entry["url_prefix"] == URL_PREFIX


def test_the_endpoint_without_a_connection_answers_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_OPS_ALERT_TRIGGER", "true")
    monkeypatch.setenv("FEATURE_OPS_ALERT_CONN_ID", "alert_nowhere")
    get_settings.cache_clear()
    (entry,) = alert_apps()
    answer = TestClient(entry["app"]).post("/alertmanager", content=b"{}")
    assert answer.status_code == 503
    assert "alert_nowhere" in answer.json()["detail"]

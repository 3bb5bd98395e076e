"""Who may send alerts, and what comes of what is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feature_ops.alerts.alert import Alert
from feature_ops.alerts.app import MOST_BYTES, create_app
from feature_ops.alerts.credentials import NoTokenError, may_enter
from feature_ops.alerts.runs import Started
from feature_ops.exceptions import BadInputError, FeatureOpsError

TOKEN = "b1c2d3"
BEGAN = "2026-03-01T12:00:00.123456789+02:00"


class Runs:
    """Airflow's runs; stands in its place."""

    def __init__(self) -> None:
        self.started: list[Alert] = []

    def start(self, alert: Alert) -> Started:
        new = alert.run_id not in {one.run_id for one in self.started}
        if new:
            self.started.append(alert)
        return Started(alert.run_id, new)


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def post(runs: Runs) -> Callable[..., Any]:
    client = TestClient(create_app(lambda: TOKEN, runs.start))

    def send(body: Any = None, token: str | None = TOKEN, **changes: Any) -> Any:
        content = body if body is not None else json.dumps(notification(**changes))
        headers = {"Authorization": f"Bearer {token}".encode()} if token is not None else {}
        return client.post("/alertmanager", content=content, headers=headers)

    return send


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "DriftHigh", "severity": "warning"},
        "annotations": {"summary": "drift"},
        "startsAt": BEGAN,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "c1b7ac7d7e8a4a4a",
        **changes,
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DriftHigh"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "airflow",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts) or [alert()],
        **changes,
    }


def test_an_alert_that_fires_starts_one_run_named_after_it(post: Callable[..., Any], runs: Runs) -> None:
    answer = post()
    (started,) = runs.started
    assert answer.status_code == 200
    assert started.run_id == "alert__c1b7ac7d7e8a4a4a__2026-03-01T10:00:00.123456Z"
    assert started.conf == {
        "alert": {
            "name": "DriftHigh",
            "fingerprint": "c1b7ac7d7e8a4a4a",
            "starts_at": "2026-03-01T12:00:00.123456+02:00",
        }
    }
    (told,) = answer.json()["alerts"]
    assert (told["run_id"], told["started"]) == (started.run_id, True)
    assert "trains and applies nothing" in told["detail"]


def test_a_repeat_starts_nothing_in_whatever_time_zone_it_is_told(
    post: Callable[..., Any], runs: Runs
) -> None:
    post()
    again = post(alerts=[alert(startsAt="2026-03-01T10:00:00.123456Z")])
    assert len(runs.started) == 1
    (told,) = again.json()["alerts"]
    assert told["started"] is False
    assert "nothing new" in told["detail"]


def test_the_same_alert_that_fires_anew_starts_another_run(post: Callable[..., Any], runs: Runs) -> None:
    post()
    post(alerts=[alert(startsAt="2026-03-02T10:00:00Z")])
    assert len({one.run_id for one in runs.started}) == 2


def test_resolved_starts_nothing(post: Callable[..., Any], runs: Runs) -> None:
    answer = post(alerts=[alert(status="resolved", endsAt="2026-03-01T13:00:00Z")], status="resolved")
    assert answer.status_code == 200
    assert runs.started == []
    assert answer.json()["alerts"][0]["detail"] == "resolved: nothing is to be done"


def test_of_a_mixed_notification_only_what_fires_counts(post: Callable[..., Any], runs: Runs) -> None:
    post(alerts=[alert(status="resolved", fingerprint="aa"), alert(fingerprint="bb")])
    assert [one.fingerprint for one in runs.started] == ["bb"]


@pytest.mark.parametrize("token", [None, "", "b1c2d4", "b1c2d3x", "b1c2d", "b1c2d³"])
def test_without_the_token_nothing_is_read_and_nothing_started(
    token: str | None, post: Callable[..., Any], runs: Runs
) -> None:
    answer = post("not even JSON", token=token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert runs.started == []


@pytest.mark.parametrize("header", ["Basic b1c2d3", "b1c2d3", "Bearer", "Bearer ", ""])
def test_only_a_bearer_token_lets_in(header: str) -> None:
    assert not may_enter(header, TOKEN)
    assert may_enter(f"bearer {TOKEN}", TOKEN)


def test_a_deployment_without_a_token_lets_nobody_in() -> None:
    def none() -> str:
        raise NoTokenError("No alert is taken: create the connection alert_default with a token.")

    answer = TestClient(create_app(none, Runs().start)).post("/alertmanager", content=b"{}")
    assert answer.status_code == 503
    assert "alert_default" in answer.json()["detail"]


def test_what_is_too_long_is_refused_even_if_it_does_not_tell_its_length(
    post: Callable[..., Any], runs: Runs
) -> None:
    read = 0

    def parts() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 10_000

    assert post(b" " * (MOST_BYTES + 1)).status_code == 413
    assert post(parts()).status_code == 413
    assert runs.started == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("not JSON", "Invalid JSON"),
        ("[]", "body"),
        (json.dumps(notification(version="3")), "version"),
        (json.dumps(notification(status="perhaps")), "status"),
        (json.dumps(notification(alerts=[alert()] * 101)), "alerts"),
        (json.dumps(notification(alert(fingerprint="../../etc"))), "alerts.0.fingerprint"),
        (json.dumps(notification(alert(startsAt="yesterday"))), "alerts.0.startsAt"),
        (json.dumps(notification(alert(startsAt="2026-03-01T10:00:00"))), "alerts.0.startsAt"),
        (json.dumps(notification(alert(labels={"alertname": 7}))), "alerts.0.labels"),
        (json.dumps(notification(alert(), receiver=None)), "receiver"),
    ],
)
def test_what_is_no_notification_is_refused_and_the_place_told(
    body: str, told: str, post: Callable[..., Any], runs: Runs
) -> None:
    answer = post(body)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert "etc" not in answer.text
    assert runs.started == []


def test_an_airflow_that_knows_no_such_dag_says_so_and_is_asked_again() -> None:
    def start(_: Alert) -> Started:
        raise FeatureOpsError("Airflow knows no DAG continuous_training yet")

    client = TestClient(create_app(lambda: TOKEN, start))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = client.post("/alertmanager", json=notification(), headers=headers)
    # Alertmanager sends again what was answered with 5xx.
    assert answer.status_code == 503
    assert "continuous_training" in answer.json()["detail"]


def test_nothing_else_is_served(post: Callable[..., Any]) -> None:
    client = TestClient(create_app(lambda: TOKEN, Runs().start))
    for path in ("/", "/docs", "/openapi.json", "/redoc"):
        assert client.get(path).status_code == 404
    assert client.get("/alertmanager").status_code == 405


def test_a_run_finds_its_alert_again() -> None:
    sent = Alert(name="DriftHigh", fingerprint="ab12", starts_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert Alert.of_run(sent.conf) == sent
    assert sent.reason == "alert DriftHigh (ab12)"
    assert Alert.of_run({}) is None
    assert Alert.of_run(None) is None


@pytest.mark.parametrize(
    "conf", ["yes", {"name": "DriftHigh"}, {"name": "x", "fingerprint": "", "starts_at": 0}]
)
def test_a_run_by_hand_that_names_no_alert_is_told_so(conf: Any) -> None:
    with pytest.raises(BadInputError, match="names no alert"):
        Alert.of_run({"alert": conf})

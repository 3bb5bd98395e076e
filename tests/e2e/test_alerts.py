"""A15: an alert that fires starts one training and applies nothing; whatever else comes starts nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from demo.scene import Scene
from demo.waiting import wait_until


def notification(fingerprint: str, began: datetime, status: str = "firing") -> dict[str, Any]:
    """Return what Alertmanager sends about one alert."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DriftHigh"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "airflow",
        "groupLabels": {"alertname": "DriftHigh"},
        "commonLabels": {"alertname": "DriftHigh"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "DriftHigh", "severity": "warning"},
                "annotations": {"summary": "drift"},
                "startsAt": began.isoformat(),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph",
                "fingerprint": fingerprint,
            }
        ],
    }


def send(scene: Scene, body: Any, token: str | None = None) -> requests.Response:
    """Post as Alertmanager does."""
    headers = {"Authorization": f"Bearer {token or scene.stack.alert_token}"}
    content: Any = {"json": body} if isinstance(body, dict) else {"data": body}
    return requests.post(scene.stack.alert_url, headers=headers, timeout=30, **content)


def run_ids(scene: Scene) -> list[str]:
    return [str(run["dag_run_id"]) for run in scene.training_runs()]


def test_a_firing_alert_trains_once_and_applies_nothing(scene: Scene) -> None:
    scene.ended_training_runs()
    commits = scene.api.asset_events("feature_definitions")
    before, began = run_ids(scene), datetime.now(UTC)
    features = scene.service_features()

    answer = send(scene, notification("c1b7ac7d7e8a4a4a", began))
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()["alerts"]
    assert told["started"] is True, told
    run_id = told["run_id"]
    assert "c1b7ac7d7e8a4a4a" in run_id

    # A repeat while it runs, and one after it.
    assert send(scene, notification("c1b7ac7d7e8a4a4a", began)).json()["alerts"][0]["started"] is False
    assert scene.api.wait("continuous_training", run_id, timeout=300) == "success", scene.training(run_id)
    assert send(scene, notification("c1b7ac7d7e8a4a4a", began)).json()["alerts"][0]["started"] is False
    send(scene, notification("c1b7ac7d7e8a4a4a", began, status="resolved"))

    run = scene.training(run_id)
    assert run.states["apply"] == run.states["backfill"] == "skipped"
    assert run.states["retrain"] == run.states["deploy_test"] == "success"
    assert "(alert DriftHigh (c1b7ac7d7e8a4a4a)): " in run.summaries["retrain"]
    version = run.facts["register"]["version"]
    wait_until(
        lambda: (
            scene.predict(scene.base["spotify_id"].iloc[0], "test").content["model"]["version"] == version
        ),
        f"test answers with version {version}",
        timeout=60,
        interval=0.5,
    )
    assert scene.service_features() == features
    assert [run_id, *before] == run_ids(scene), "one run was started"
    assert scene.api.asset_events("feature_definitions") == commits


@pytest.mark.parametrize("why", ["resolved", "wrong token", "no token", "too large", "no notification"])
def test_nothing_else_starts_a_run(why: str, scene: Scene) -> None:
    before = run_ids(scene)
    fires = notification("ab12", datetime.now(UTC))
    if why == "resolved":
        answer = send(scene, notification("ab12", datetime.now(UTC), status="resolved"))
        assert (answer.status_code, answer.json()["alerts"][0]["started"]) == (200, False)
    elif why == "wrong token":
        assert send(scene, fires, token="guessed").status_code == 401
    elif why == "no token":
        assert requests.post(scene.stack.alert_url, json=fires, timeout=30).status_code == 401
    elif why == "too large":
        assert send(scene, b" " * 300_000).status_code == 413
    else:
        assert send(scene, {**fires, "version": "3"}).status_code == 422
    assert run_ids(scene) == before


def test_the_service_tells_how_far_its_songs_have_moved(scene: Scene) -> None:
    songs = [str(song) for song in scene.base["spotify_id"].unique()[:200]]
    url = scene.stack.model_url("champion")
    assert requests.post(f"{url}/predict", json={"songs": songs}, timeout=30).ok
    numbers = requests.get(f"{url}/metrics", timeout=30).text
    features = [item["name"] for item in requests.get(f"{url}/model", timeout=30).json()["features"]]
    for feature in features:
        assert f'jukebox_feature_drift_psi{{feature="{feature}"}}' in numbers
    assert "jukebox_model_loaded_timestamp_seconds" in numbers
    assert 'jukebox_features_fresh_timestamp_seconds{view="song_properties"}' in numbers

"""The stack of docker-compose.yaml comes up, does its work, survives its parts, and keeps what it has."""

from __future__ import annotations

import json

import pytest
import requests

from demo.acts import etl_by_hand, new_song_is_unknown, song_is_online, whole_catalogue_is_online
from demo.container_stack import ContainerStack
from demo.errors import DemoError
from demo.feature_acts import loudness_is_commented_out, triggerer_is_killed
from demo.scene import FLOAT_TOLERANCE, KEY, Scene
from demo.waiting import wait_until
from tests.compose.compose import Compose

pytestmark = pytest.mark.timeout(1800)

JOBS = {"gitea-init", "airflow-init", "prepare", "first-runs"}
STORES = ("postgres", "valkey", "seaweedfs", "gitea", "mlflow")


def test_everything_comes_up_and_the_first_start_fills_it(compose: Compose, scene: Scene) -> None:
    containers = {one["Service"]: one for one in compose.containers()}
    assert {name: containers[name]["ExitCode"] for name in JOBS} == dict.fromkeys(JOBS, 0)
    servers = containers.keys() - JOBS
    assert {name: containers[name]["Health"] for name in servers} == dict.fromkeys(servers, "healthy")
    print(whole_catalogue_is_online(scene))


def test_containers_have_few_rights(compose: Compose) -> None:
    for service in (*STORES, "airflow-scheduler", "airflow-api-server", "model-test"):
        found = compose.inspect(service)
        assert not found["EffectiveCaps"], service
        assert found["HostConfig"]["ReadonlyRootfs"] or service == "gitea", service
        for ports in found["NetworkSettings"]["Ports"].values():
            assert {port["HostIp"] for port in ports or ()} <= {"127.0.0.1"}, service


def test_no_password_is_in_a_command_line(compose: Compose) -> None:
    secrets = [value for value in compose.settings().values() if len(value) >= 16]
    running = compose.podman("ps", "--format", "{{.Names}}").split()
    for name in running:
        told = compose.podman.attempt("top", name, "args") or ""
        assert not [secret for secret in secrets if secret in told], name


def test_a_new_song_becomes_a_prediction(scene: Scene) -> None:
    print(new_song_is_unknown(scene))
    print(etl_by_hand(scene))
    print(song_is_online(scene))


def test_a_feature_that_is_left_out_becomes_a_model_that_answers_in_test(scene: Scene) -> None:
    scene.crowds["champion"].start()
    print(loudness_is_commented_out(scene))


def test_a_push_while_the_triggerer_is_dead_is_not_lost(scene: Scene) -> None:
    print(triggerer_is_killed(scene))
    scene.crowds["champion"].stop()
    asked = scene.crowds["champion"].asked
    assert (asked.failed, asked.failures) == (0, [])
    assert asked.answers


def answers(scene: Scene) -> bool:
    try:
        return bool(scene.api.dag_runs("song_properties_etl"))
    except DemoError:
        return False


@pytest.mark.parametrize("service", ["airflow-scheduler", "valkey", "postgres", "seaweedfs"])
def test_a_run_goes_on_after_a_container_was_killed_in_the_middle(
    compose: Compose, scene: Scene, service: str
) -> None:
    known = scene.base.sample(5, random_state=len(service)).copy()
    known["tempo"] = known["tempo"] + 1
    url = scene.put_in_inbox(f"while_{service}_dies.parquet", known.drop(columns=["event_timestamp"]))
    run_id = scene.api.trigger("song_properties_etl", {"dataset_url": url})
    wait_until(
        lambda: scene.api.task_states("song_properties_etl", run_id)["ingest"] in ("running", "success"),
        "the run is under way",
        timeout=60,
    )

    compose.kill(service)
    compose("up", "--detach", "--no-build", "--no-deps", service)

    # Without its database Airflow's API answers nobody.
    wait_until(lambda: answers(scene), "Airflow answers again", timeout=120)
    assert scene.api.wait("song_properties_etl", run_id, timeout=600) == "success"
    online = scene.online(known[KEY])
    wanted = known.set_index(KEY).loc[online.index, "tempo"]
    assert online["tempo"].tolist() == pytest.approx(wanted.tolist(), rel=FLOAT_TOLERANCE)


def test_prometheus_asks_both_services_and_knows_the_rules(compose: Compose) -> None:
    url = f"http://127.0.0.1:{compose.settings()['PROMETHEUS_PORT']}/api/v1"

    def targets() -> dict[str, str]:
        found = requests.get(f"{url}/targets", timeout=10).json()["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in found}

    both = dict.fromkeys(("model-test:8000", "model-production:8000"), "up")
    wait_until(lambda: targets() == both, "both services are asked", timeout=60)
    (group,) = requests.get(f"{url}/rules", timeout=10).json()["data"]["groups"]
    assert {"DriftHigh", "NoModel"} <= {rule["name"] for rule in group["rules"]}


def test_an_alert_becomes_a_training(compose: Compose, scene: Scene) -> None:
    before = {run["dag_run_id"] for run in scene.training_runs()}
    alert = {"labels": {"alertname": "DriftHigh", "severity": "warning", "trains": "yes"}}
    url = f"http://127.0.0.1:{compose.settings()['ALERTMANAGER_PORT']}/api/v2/alerts"
    requests.post(url, json=[alert], timeout=10).raise_for_status()

    def started() -> set[str]:
        return {run["dag_run_id"] for run in scene.training_runs()} - before

    wait_until(started, "Alertmanager has told Airflow", timeout=120)
    (run_id,) = started()
    assert "alert" in run_id
    assert scene.api.wait("continuous_training", run_id, timeout=600) == "success", scene.training(run_id)


def test_down_and_up_again_loses_nothing(compose: Compose, scene: Scene) -> None:
    before = (scene.history().shape, scene.remote_head(), scene.predict(scene.song_id).countries)

    compose("down", "--timeout", "10")
    compose.up()

    again = Scene(
        ContainerStack(compose.home / ".env", compose.command), scene.base, scene.new, scene.song_id
    )
    assert (again.history().shape, again.remote_head(), again.predict(again.song_id).countries) == before
    first_runs = json.loads(compose.podman("inspect", "feature-ops-first-runs-1"))[0]
    assert first_runs["State"]["ExitCode"] == 0
    runs = again.api.dag_runs("song_properties_etl")
    assert sum(run["dag_run_id"].startswith("first_load") for run in runs) == 1


def test_a_celery_worker_does_the_same_work(compose: Compose, scene: Scene) -> None:
    compose.configure(AIRFLOW_EXECUTOR="CeleryExecutor", COMPOSE_PROFILES="celery")
    compose("up", "--detach", "--no-build", timeout=900)

    def worker() -> str:
        return next(one["Health"] for one in compose.containers() if one["Service"] == "airflow-worker")

    wait_until(lambda: worker() == "healthy", "the worker is healthy", timeout=180)
    known = scene.base.sample(5, random_state=99).copy()
    known["tempo"] = known["tempo"] + 2
    url = scene.put_in_inbox("by_a_worker.parquet", known.drop(columns=["event_timestamp"]))
    run_id = scene.api.trigger("song_properties_etl", {"dataset_url": url})

    assert scene.api.wait("song_properties_etl", run_id, timeout=600) == "success"
    assert "song_properties_etl" in compose("logs", "airflow-worker")

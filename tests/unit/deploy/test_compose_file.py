"""docker-compose.yaml keeps what docs/deployment.md says of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.airflow import BEHAVIOUR
from deploy.compose.passwords import SECRETS, complete
from tests.conftest import PROJECT

FILE = PROJECT / "docker-compose.yaml"
JOBS = {"databases", "gitea-init", "airflow-init", "prepare", "first-runs", "k3s-init"}
# Their images are built here, so that they have no version but the project's own.
OWN = "feature-ops/"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compose") / ".env"
    complete(path)
    return path


def compose(*arguments: str, environment: Path, **variables: str) -> str:
    program = Path(sys.executable).with_name("docker-compose")
    done = subprocess.run(
        [program, "--file", FILE, "--env-file", environment, *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def services(environment: Path) -> dict[str, Any]:
    """All services as Compose itself understands them."""
    told = compose("--profile", "*", "config", "--format", "json", environment=environment)
    return dict(json.loads(told)["services"])


def test_every_profile_is_a_valid_file(environment: Path) -> None:
    for profile in ("kubernetes", "celery", "monitoring"):
        compose("--profile", profile, "config", "--quiet", environment=environment)


def test_every_password_is_generated_and_none_has_a_default() -> None:
    used = set(re.findall(r"\$\{([A-Z0-9_]+)(?![A-Z0-9_]*:-)[}:]", FILE.read_text()))
    defaulted = set(re.findall(r"\$\{([A-Z0-9_]+):-", FILE.read_text()))
    assert used == set(SECRETS)
    assert not defaulted & set(SECRETS)


def test_a_password_file_is_private_completed_and_otherwise_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("AIRFLOW_PORT=9000\nGIT_PASSWORD=mine")

    made = complete(path)

    assert set(made) == set(SECRETS) - {"GIT_PASSWORD"}
    lines = path.read_text().splitlines()
    assert lines[:2] == ["AIRFLOW_PORT=9000", "GIT_PASSWORD=mine"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert complete(path) == []
    assert path.read_text().splitlines() == lines


def test_ports_are_open_on_this_machine_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert len(published) == 10
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_every_image_of_others_has_a_version(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values() if not service["image"].startswith(OWN)}
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images


def test_every_server_has_a_health_check_limits_and_little_logs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        if name not in JOBS:
            assert service["healthcheck"]["test"], name
            assert service["deploy"]["resources"]["limits"]["memory"], name
            assert service["restart"] == "unless-stopped", name


def test_nothing_but_the_cluster_has_rights(services: dict[str, Any]) -> None:
    privileged = {name for name, service in services.items() if service.get("privileged")}
    assert privileged == {"k3s"}
    for name in services.keys() - privileged:
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name


def test_who_needs_a_server_waits_until_it_is_healthy(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in JOBS else "service_healthy"
            assert how["condition"] == wanted, (name, needed)


def test_no_secret_is_an_argument(services: dict[str, Any], environment: Path) -> None:
    values = [line.partition("=")[2] for line in environment.read_text().splitlines() if "=" in line]
    for name, service in services.items():
        arguments = json.dumps(
            [service.get("command"), service.get("entrypoint"), service.get("healthcheck")]
        )
        assert not [value for value in values if value in arguments], name


def test_components_of_airflow_share_their_settings(services: dict[str, Any]) -> None:
    components = [service for name, service in services.items() if name.startswith("airflow-")]
    environments = [dict(component["environment"]) for component in components]
    for one in environments:
        one.pop("AIRFLOW_ADMIN_PASSWORD", None)
    assert len(components) == 6
    assert all(one == environments[0] for one in environments)


def test_airflow_behaves_as_in_the_demo(services: dict[str, Any]) -> None:
    environment = services["airflow-scheduler"]["environment"]
    for section, options in BEHAVIOUR.items():
        for option, value in options.items():
            assert environment[f"AIRFLOW__{section}__{option}".upper()] == str(value), option


def test_the_locked_celery_has_what_airflows_executor_takes_from_it(tmp_path: Path) -> None:
    """Its provider allows versions that lack it, and a worker would fail at its start."""
    done = subprocess.run(
        [sys.executable, "-c", "import airflow.providers.celery.executors.celery_executor"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

"""Containers and the demo have the same credentials with the same rights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demo.identities import ACTIONS
from demo.online_store_users import READER, WRITER, user_lines
from deploy.compose.passwords import SECRETS
from tests.conftest import PROJECT
from tests.unit.deploy.test_compose_file import compose, environment, services  # noqa: F401

SCRIPTS = PROJECT / "deploy" / "compose"
VALUES = {name: f"value-of-{name.lower()}" for name in SECRETS}


def run(script: str, folder: Path, program: str, body: str) -> str:
    """Run a script of a container with a stand-in for its server."""
    text = (SCRIPTS / script).read_text().replace("/tmp/", f"{folder}/")
    (folder / script).write_text(text)
    (folder / program).write_text(f"#!/bin/sh\n{body}\n")
    (folder / program).chmod(0o755)
    done = subprocess.run(
        ["sh", str(folder / script)],
        env={**VALUES, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_object_store_has_the_identities_of_the_demo(tmp_path: Path) -> None:
    found = json.loads(run("seaweedfs.sh", tmp_path, "weed", f"cat {tmp_path}/s3.json"))
    assert {one["name"]: one["actions"] for one in found["identities"]} == dict(ACTIONS)
    secret = {one["name"]: one["credentials"][0]["secretKey"] for one in found["identities"]}
    assert len(set(secret.values())) == len(ACTIONS)
    assert secret["training"] == VALUES["S3_TRAINING_SECRET_KEY"]
    assert (tmp_path / "s3.json").stat().st_mode & 0o077 == 0


def test_valkey_has_the_users_of_the_demo(tmp_path: Path) -> None:
    lines = run("valkey.sh", tmp_path, "valkey-server", "cat").splitlines()
    passwords = {WRITER: VALUES["VALKEY_FEAST_PASSWORD"], READER: VALUES["VALKEY_READER_PASSWORD"]}
    expected = user_lines(passwords)
    for password in passwords.values():
        hashed = hashlib.sha256(password.encode()).hexdigest()
        expected = [line.replace(f"#{hashed}", f">{password}") for line in expected]
    assert lines == [f"requirepass {VALUES['VALKEY_PASSWORD']}", *expected]


# What each container may be given; those with all passwords of a kind are not among them.
GETS: dict[str, set[str]] = {
    "databases": {"POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "FEAST_DB_PASSWORD", "FEAST_READER_DB_PASSWORD"}
    | {"MLFLOW_DB_PASSWORD"},
    "postgres": {"POSTGRES_PASSWORD"},
    "mlflow": {"MLFLOW_DB_PASSWORD", "S3_MLFLOW_SECRET_KEY"},
    "model-test": {"FEAST_READER_DB_PASSWORD", "VALKEY_READER_PASSWORD", "S3_SERVING_SECRET_KEY"},
    "model-production": {"FEAST_READER_DB_PASSWORD", "VALKEY_READER_PASSWORD", "S3_SERVING_SECRET_KEY"},
    "k3s-init": {"FEAST_READER_DB_PASSWORD", "VALKEY_READER_PASSWORD", "S3_TRAINING_SECRET_KEY"},
    "airflow-scheduler": {"AIRFLOW_DB_PASSWORD", "FEAST_DB_PASSWORD", "FEAST_READER_DB_PASSWORD"}
    | {"VALKEY_PASSWORD", "VALKEY_FEAST_PASSWORD", "VALKEY_READER_PASSWORD", "S3_AIRFLOW_SECRET_KEY"}
    | {"S3_TRAINING_SECRET_KEY", "GIT_PASSWORD", "ALERT_TOKEN", "AIRFLOW_FERNET_KEY", "AIRFLOW_SECRET_KEY"}
    | {"AIRFLOW_JWT_SECRET"},
}


@pytest.mark.parametrize("service", GETS)
def test_a_container_is_given_the_passwords_of_its_job_only(
    services: dict[str, Any],  # noqa: F811 - the fixture
    environment: Path,  # noqa: F811 - the fixture
    service: str,
) -> None:
    values = dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)
    given = json.dumps(services[service]["environment"])
    assert {name for name in SECRETS if values[name] in given} == GETS[service]

"""The commands by which docs/operations.md has an Airflow installed, upgraded and its keys rotated."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from demo.processes import clean_environment
from demo.servers import Servers
from tests.conftest import PROJECT
from tests.unit.docs.pages import block

PAGE = "docs/operations.md"


class Machine:
    """A machine with the package, on which Airflow was installed as the page says."""

    def __init__(self, home: Path, database_url: str, mlflow_url: str) -> None:
        self.variables = clean_environment(
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            PYTHONPATH=str(PROJECT / "plugins"),
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
            AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__FERNET_KEY=Fernet.generate_key().decode(),
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database_url.replace("+psycopg:", "+psycopg2:"),
            MLFLOW_BACKEND_STORE_URI=mlflow_url.replace("+psycopg:", "+psycopg2:"),
        )
        self.told = self.shell(block(PAGE, "Install", "airflow pools"))

    def shell(self, text: str) -> str:
        """Run commands as they stand on a page; returns what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    names = [f"{program}_{secrets.token_hex(4)}" for program in ("airflow", "mlflow")]
    yield Machine(tmp_path_factory.mktemp("airflow"), *map(servers.create_database, names))
    for name in names:
        servers.drop_database(name)


def test_after_the_commands_of_install_the_dags_and_the_pool_are_there(machine: Machine) -> None:
    for dag in ("continuous_training", "promote_model", "song_properties_etl"):
        assert dag in machine.told
    assert "feature_store" in machine.shell("airflow pools list --output plain")


def test_the_commands_of_upgrade_may_be_run_where_nothing_is_to_be_upgraded(machine: Machine) -> None:
    machine.shell(block(PAGE, "Upgrade", "airflow db migrate"))


def test_a_connection_can_be_read_with_the_new_key_alone(machine: Machine) -> None:
    machine.shell("airflow connections add kept --conn-uri generic://ada:hidden@here")
    told = machine.shell(
        block(PAGE, "Rotate secrets", "NEW_KEY")
        + "airflow connections get kept --output json; printenv | grep FERNET"
    )
    assert "hidden" in told
    assert "," not in told.rsplit("AIRFLOW__CORE__FERNET_KEY", 1)[1]
    assert machine.variables["AIRFLOW__CORE__FERNET_KEY"] not in told

"""The stack of docker-compose.yaml, as seen from the machine that it runs on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from demo.airflow import LOGIN
from demo.airflow_api import AirflowApi
from demo.bootstrap import REPOSITORY
from demo.errors import DemoError
from demo.git_environment import git_environment
from demo.gitea import LOGIN as GIT_LOGIN
from demo.quiet import quiet_variables
from feature_ops.object_store import ObjectStore

PROJECT = Path(__file__).resolve().parents[1]
PORTS = {
    "AIRFLOW_PORT": 8080,
    "GIT_PORT": 3000,
    "MLFLOW_PORT": 5000,
    "MODEL_PRODUCTION_PORT": 8002,
    "MODEL_TEST_PORT": 8001,
    "POSTGRES_PORT": 5432,
    "S3_PORT": 8333,
    "VALKEY_PORT": 6379,
}
SERVICES = {"test": "MODEL_TEST_PORT", "champion": "MODEL_PRODUCTION_PORT"}


class ContainerStack:
    """
    A stack that `make up` has started.

    :param env_file: what Compose reads passwords and ports from.
    :param compose: the command of Compose with its options.
    """

    def __init__(
        self, env_file: Path = PROJECT / ".env", compose: Sequence[str] = ("docker", "compose")
    ) -> None:
        if not env_file.exists():
            raise DemoError(f"There is no {env_file}: start the containers with `make up` first.")
        self._settings = read_settings(env_file)
        self._compose = compose
        # Clones and the like; nothing of the stack's own is there.
        self._folder = tempfile.TemporaryDirectory(prefix="feature-ops-containers-")
        self.home = Path(self._folder.name)
        self.inbox = Path(self._settings.get("INBOX", str(PROJECT / "inbox")))

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's UI and API."""
        return self._url("AIRFLOW_PORT")

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow's REST API, signed in as the administrator."""
        return AirflowApi(self.airflow_url, LOGIN, self._settings["AIRFLOW_ADMIN_PASSWORD"])

    @property
    def git_url(self) -> str:
        """HTTP URL of the repository `jukebox`."""
        return f"{self._url('GIT_PORT')}/{GIT_LOGIN}/{REPOSITORY}.git"

    @cached_property
    def object_store(self) -> ObjectStore:
        """The S3 server with the administrator's credentials."""
        return ObjectStore(
            access_key=self._settings["S3_ACCESS_KEY"],
            secret_key=self._settings["S3_SECRET_KEY"],
            region="us-east-1",
            endpoint_url=self._url("S3_PORT"),
        )

    def model_url(self, alias: str) -> str:
        """
        Return the address of the model service that follows an alias.

        :param alias: ``test`` or ``champion``.
        """
        return self._url(SERVICES[alias])

    def dataset_url(self, name: str) -> str:
        """Return the URL by which Airflow reads a file of the inbox."""
        return f"file:///inbox/{name}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which feast, dvc, git and Python find this stack."""
        get = self._settings
        database = (
            f"postgresql+psycopg://feast:{get['FEAST_DB_PASSWORD']}@127.0.0.1:{self._port('POSTGRES_PORT')}"
        )
        return {
            "FEAST_REGISTRY_URL": f"{database}/feast",
            "FEAST_ONLINE_STORE": (
                f"127.0.0.1:{self._port('VALKEY_PORT')},username=feast,password={get['VALKEY_FEAST_PASSWORD']}"
            ),
            **replace(
                self.object_store, access_key="airflow", secret_key=get["S3_AIRFLOW_SECRET_KEY"]
            ).environment(),
            **git_environment(self._url("GIT_PORT"), GIT_LOGIN, get["GIT_PASSWORD"]),
            "JUKEBOX_GIT_URL": self.git_url,
            "MLFLOW_TRACKING_URI": self._url("MLFLOW_PORT"),
            **quiet_variables(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def kill_component(self, component: str) -> None:
        """Kill one component of Airflow, in the middle of what it does."""
        self._run("kill", f"airflow-{component}")

    def start_component(self, component: str) -> None:
        """Start one component of Airflow, without waiting until it works."""
        self._run("up", "--detach", "--no-deps", f"airflow-{component}")

    def close(self) -> None:
        """Remove what was needed to look at the stack, which goes on."""
        self._folder.cleanup()

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port(name)}"

    def _port(self, name: str) -> str:
        return self._settings.get(name, str(PORTS[name]))

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._compose, *arguments],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"docker compose {arguments[0]} failed: {done.stderr.strip()[-300:]}")


def read_settings(path: Path) -> dict[str, str]:
    """Return what Compose reads from a file; a port of the environment goes before that of the file."""
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {
        **dict(line.split("=", 1) for line in lines),
        **{n: os.environ[n] for n in PORTS if n in os.environ},
    }

"""MLflow's tracking server: runs and registered models in PostgreSQL, their files on S3."""

from __future__ import annotations

import sys
from urllib.request import urlopen

from demo.object_store import SeaweedFS
from demo.postgres import Postgres
from demo.processes import clean_environment
from demo.site import Site
from demo.waiting import wait_until

BUCKET = "models"


class MlflowServer:
    """
    One MLflow server on loopback, open to who can reach it there.

    Clients need its address only: it reads and writes the models' files for them.

    :param postgres: holds its database; running when this one is started.
    :param seaweedfs: holds the files; running when this one is started.
    """

    def __init__(self, site: Site, postgres: Postgres, seaweedfs: SeaweedFS) -> None:
        self._site = site
        self._postgres = postgres
        self._seaweedfs = seaweedfs
        self._port = site.ports.find("mlflow")

    @property
    def url(self) -> str:
        """The address of its API and its pages."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server, after making its database and bucket the first time; wait until it answers."""
        self._seaweedfs.create_bucket(BUCKET)
        options = {
            "host": "127.0.0.1",
            "port": self._port,
            "workers": 1,
            "artifacts-destination": f"s3://{BUCKET}/mlflow",
        }
        child = self._site.processes.start(
            "mlflow",
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--serve-artifacts",
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            environment=clean_environment(
                **self._seaweedfs.identity("mlflow").environment(),
                # Not an argument, since every user of the machine can read a command line.
                MLFLOW_BACKEND_STORE_URI=self._postgres.create_database("mlflow"),
                # Nothing here needs its jobs (judges of language models), which are three more processes.
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
                MLFLOW_DISABLE_TELEMETRY="true",
            ),
        )

        def answers() -> bool:
            child.check()
            # One that asks the database, too.
            path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
            with urlopen(self.url + path, timeout=10) as response:  # noqa: S310 - our own address
                return bool(response.status == 200)

        wait_until(answers, "MLflow answers", timeout=120, interval=0.2, remedy=f"see {child.log}")

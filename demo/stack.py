"""The whole embedded stack: servers, Airflow, services of the model, and what a first start puts there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from demo.airflow import LOGIN, Airflow, address_of
from demo.airflow_api import AirflowApi
from demo.bootstrap import REPOSITORY, Bootstrap
from demo.connections import connection_variables
from demo.credentials import write_private
from demo.errors import DemoError
from demo.first_runs import FirstRuns
from demo.git_environment import git_environment
from demo.model_service import ALIASES, ModelService
from demo.parallel import in_parallel
from demo.progress import Progress
from demo.quiet import quiet_variables
from demo.servers import Servers
from feature_ops.object_store import ObjectStore

PROJECT = Path(__file__).resolve().parents[1]


class Stack:
    """
    A stack that keeps all its state in one folder.

    :param home: the folder.
    :param catalogue: parquet file of songs that the first start loads; generated if None.
    :param extra_dags: one more folder with DAG files.
    :param load: whether the first start loads the catalogue.
    """

    def __init__(
        self, home: Path, catalogue: Path | None = None, extra_dags: Path | None = None, load: bool = True
    ) -> None:
        self.home = home.resolve()
        self.servers = Servers(home)
        self._catalogue = catalogue
        self._extra_dags = extra_dags
        self._load = load
        self._airflow: Airflow | None = None
        self._services: dict[str, ModelService] = {}
        self._environment: dict[str, str] = {}

    def start(self, progress: Progress) -> None:
        """
        Start everything; the first start also fills it, a killed first start is completed.

        :param progress: told in one line about each thing that takes more than a moment.
        :raises DemoError: with the cause and the remedy; nothing is left running then.
        """
        progress("Starting PostgreSQL, Valkey, the object store and the git server …")
        self.servers.start(progress)
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything within seconds; all state is kept."""
        if self._airflow:
            self._airflow.stop(grace=5)
            self._airflow = None
        self.servers.stop()

    def check(self) -> None:
        """Raise a :class:`DemoError` if one of the processes is dead."""
        for child in self.servers.processes.children:
            child.check()

    @property
    def inbox(self) -> Path:
        """Folder whose files the ETL may ingest by ``file://`` URL."""
        return self.home / "inbox"

    def dataset_url(self, name: str) -> str:
        """Return the URL by which the ETL reads a file of the inbox."""
        return (self.inbox / name).as_uri()

    @property
    def object_store(self) -> ObjectStore:
        """The S3 server with the administrator's credentials."""
        return self.servers.object_store

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's UI and API."""
        return self.airflow.url

    @property
    def api(self) -> AirflowApi:
        """Airflow's REST API, signed in as the administrator."""
        return self.airflow.api

    @property
    def admin_login(self) -> str:
        """The only user of Airflow."""
        return LOGIN

    @property
    def admin_password(self) -> str:
        """That user's password."""
        return self.airflow.password

    @property
    def git_url(self) -> str:
        """HTTP URL of the repository `jukebox`."""
        return f"{self.servers.git.url}/{REPOSITORY}.git"

    @property
    def git_web_url(self) -> str:
        """Web view of that repository."""
        return f"{self.servers.git.url}/{REPOSITORY}/"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow's pages and API."""
        return self.servers.mlflow.url

    @property
    def alert_url(self) -> str:
        """Where Alertmanager sends its webhook to."""
        return f"{self.airflow_url}/feature-ops/alertmanager"

    @property
    def alert_token(self) -> str:
        """What Alertmanager has to send with it."""
        return self.servers.site.credentials.secret("alert-token")

    def model_url(self, alias: str) -> str:
        """
        Return the address of the model service that follows an alias.

        :param alias: ``test`` or ``champion``.
        """
        return self._services[alias].url

    def environment(self) -> dict[str, str]:
        """Return the variables with which feast, dvc, git and Python find this stack."""
        return dict(self._environment)

    def kill_component(self, component: str) -> None:
        """Kill one component of Airflow, in the middle of what it does."""
        self.airflow.kill_component(component)

    def start_component(self, component: str) -> None:
        """Start one component of Airflow, without waiting until it works."""
        self.airflow.start_component(component)

    @property
    def airflow(self) -> Airflow:
        """Airflow's components."""
        if self._airflow is None:
            raise DemoError("The stack is not running: start it first.")
        return self._airflow

    def _start(self, progress: Progress) -> None:
        self.inbox.mkdir(exist_ok=True)
        servers = self.servers
        feast = {
            "FEAST_REGISTRY_URL": servers.create_database("feast"),
            "FEAST_ONLINE_STORE": servers.online_store,
        }
        reading = {
            "FEAST_REGISTRY_URL": servers.create_reader("feast"),
            "FEAST_ONLINE_STORE": servers.online_store_reader,
        }
        self._environment = self._user_environment(feast)
        write_private(environment_file(self.home), json.dumps(self._environment, indent=2))
        site = self.servers.site
        links = {"mlflow-url": self.mlflow_url, "airflow-url": address_of(site)}
        self._services = {
            alias: ModelService(site, alias, PROJECT, self._serving_environment(reading), links)
            for alias in ALIASES
        }
        airflow = self._airflow = Airflow(
            site,
            database_url=self.servers.create_database("airflow").replace("+psycopg:", "+psycopg2:"),
            dags=[PROJECT / "dags", *([self._extra_dags] if self._extra_dags else [])],
            plugins=PROJECT / "plugins",
            settings=self._settings(feast, reading),
        )
        self.servers.create_repository(REPOSITORY)
        bootstrap = Bootstrap(self.servers.object_store, self.git_url, self._environment, PROJECT, self.inbox)
        bootstrap.create_buckets()

        def start_airflow() -> None:
            progress("Preparing the databases and the repository …")
            in_parallel([airflow.migrate, bootstrap.prepare], abort=self.servers.stop)
            progress("Starting Airflow …")
            airflow.start()
            bootstrap.create_pool(airflow.api)

        def start_mlflow() -> None:
            self.servers.mlflow.start()
            if self._load:
                bootstrap.upload_rankings(self._catalogue)

        in_parallel([start_airflow, start_mlflow], abort=self.servers.stop)
        # Last, since each of them imports Feast when it is up, which would slow down all others.
        in_parallel([service.start for service in self._services.values()], abort=self.servers.stop)
        if self._load:
            runs = FirstRuns(airflow.api, str(self.home / "airflow" / "logs"), progress)
            bootstrap.load_catalogue(runs, self._catalogue)
            bootstrap.train_model(runs)
            self._wait_for_models(progress)

    def _wait_for_models(self, progress: Progress) -> None:
        for service in self._services.values():
            try:
                service.wait_for_model()
            except DemoError as error:  # the rest of the stack is of use without
                progress(str(error))

    def _settings(self, feast: dict[str, str], reading: dict[str, str]) -> dict[str, str]:
        connections = connection_variables(
            object_store=self.servers.object_store_of("airflow"),
            git_url=self.git_url,
            git_login=self.servers.git_login,
            git_password=self.servers.git_password,
            feast_environment=feast,
            alert_token=self.alert_token,
            training=(self.servers.object_store_of("training"), reading),
        )
        return {
            **connections,
            **quiet_variables(),
            "FEATURE_OPS_SOURCE_SCHEMES": json.dumps(["https", "s3", "file"]),
            "FEATURE_OPS_SOURCE_FOLDERS": json.dumps([str(self.inbox)]),
            "FEATURE_OPS_ETL_EXAMPLE_URL": self.dataset_url("new_song.parquet"),
            "FEATURE_OPS_WATCH_INTERVAL": "2",
            "FEATURE_OPS_MLFLOW_TRACKING_URI": self.mlflow_url,
            "FEATURE_OPS_TRAINING_AWS_CONN_ID": "training_aws",
            "FEATURE_OPS_TRAINING_FEAST_CONN_ID": "training_feast",
            "FEATURE_OPS_TEST_SERVICE_URL": self.model_url("test"),
            "FEATURE_OPS_PRODUCTION_SERVICE_URL": self.model_url("champion"),
            "FEATURE_OPS_APPROVAL_INTERVAL": "2",
            "FEATURE_OPS_ALERT_TRIGGER": "true",
            "FEATURE_OPS_GIT_COMMIT_URL": self.servers.git.commit_url(REPOSITORY),
            "FEATURE_OPS_GIT_FILE_URL": self.servers.git.file_url(REPOSITORY),
        }

    def _serving_environment(self, reading: dict[str, str]) -> dict[str, str]:
        """Return what a model service gets: it reads, without git and the feature store's rights."""
        return {
            **reading,
            **self.servers.object_store_of("serving").environment(),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            **quiet_variables(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def _user_environment(self, feast: dict[str, str]) -> dict[str, str]:
        return {
            **feast,
            **self.servers.object_store_of("airflow").environment(),
            **git_environment(self.servers.git.url, self.servers.git_login, self.servers.git_password),
            "JUKEBOX_GIT_URL": self.git_url,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            **quiet_variables(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }


def environment_file(home: Path) -> Path:
    """Return the file from which `make shell` reads the environment of a running stack."""
    return home / "environment.json"

"""Airflow's components as processes: API server, scheduler, DAG processor, triggerer."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import requests

from demo.airflow_api import AirflowApi
from demo.credentials import write_private
from demo.errors import DemoError
from demo.processes import Child, clean_environment
from demo.site import Site
from demo.waiting import wait_until

LOGIN = "admin"
COMPONENTS = {
    "api-server": [],
    # Task logs are read from the folder that all share, so nobody has to serve them.
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}
HEARTBEATS = ("scheduler", "dag_processor", "triggerer")
# How Airflow behaves, here as in docker-compose.yaml.
BEHAVIOUR: dict[str, dict[str, object]] = {
    "core": {
        "executor": "LocalExecutor",
        "dags_are_paused_at_creation": False,
        "simple_auth_manager_users": f"{LOGIN}:admin",
        "parallelism": 4,
        # A DAG file that was edited is seen at once.
        "min_serialized_dag_update_interval": 2,
    },
    "api": {"workers": 1},
    "scheduler": {
        "scheduler_idle_sleep_time": 0.4,
        # A task whose process was killed is retried after this, not after five minutes.
        "task_instance_heartbeat_timeout": 45,
        "task_instance_heartbeat_timeout_detection_interval": 5,
        # And one whose scheduler was killed.
        "orphaned_tasks_check_interval": 30,
    },
    # A killed triggerer's watchers go to the next one after this.
    "triggerer": {"triggerer_health_check_threshold": 15},
    "dag_processor": {
        # Listing the folder is cheap, parsing is not: only files that changed are parsed soon.
        "refresh_interval": 5,
        "min_file_process_interval": 120,
        "parsing_processes": 1,
    },
}


class Airflow:
    """
    Airflow 3 with LocalExecutor and a PostgreSQL database.

    :param database_url: SQLAlchemy URL of its database.
    :param dags: folders with DAG files, each a bundle of its own.
    :param plugins: the plugins folder; DAG files can import from it.
    :param settings: more environment: connections, the settings of the package.
    """

    def __init__(
        self,
        site: Site,
        database_url: str,
        dags: Sequence[Path],
        plugins: Path,
        settings: Mapping[str, str],
    ) -> None:
        self._site = site
        self._home = site.folder("airflow")
        self.url = address_of(site)
        self.password = site.credentials.secret("airflow", 12)
        self.api = AirflowApi(self.url, LOGIN, self.password)
        self._environment = clean_environment(**self._configuration(database_url, dags, plugins), **settings)

    def migrate(self) -> None:
        """Bring the database up to the installed version, if another one was the last to do so."""
        stamp = self._home / "migrated"
        wanted = version("apache-airflow-core")
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self._site.processes.run(
            "airflow-migrate",
            [sys.executable, "-m", "airflow", "db", "migrate"],
            environment=self._environment,
            cwd=self._home,
            remedy="then start again",
        )
        stamp.write_text(wanted)

    def start(self) -> None:
        """Start the components and wait until each of them has shown that it works."""
        passwords = self._home / "passwords.json"
        write_private(passwords, json.dumps({LOGIN: self.password}))
        started = datetime.now(UTC)
        children = [self.start_component(component) for component in COMPONENTS]

        def healthy() -> bool:
            for child in children:
                child.check()
            return self._all_beat_since(started)

        wait_until(healthy, "Airflow is healthy", timeout=240, interval=0.3, remedy="see the logs folder")

    def start_component(self, component: str, **settings: str) -> Child:
        """
        Start one component, without waiting until it works.

        :param settings: environment that replaces the stack's.
        """
        return self._site.processes.start(
            f"airflow-{component}",
            [sys.executable, "-m", "airflow", component, *COMPONENTS[component]],
            environment={**self._environment, **settings},
            cwd=self._home,
        )

    def kill_component(self, component: str) -> None:
        """Kill one component with all that it started, in the middle of what they do."""
        self._site.processes.kill(f"airflow-{component}")

    def stop(self, grace: float) -> None:
        """End the components; a task that still runs after ``grace`` seconds is killed and retried later."""
        self._site.processes.stop([f"airflow-{component}" for component in COMPONENTS], grace)

    def _all_beat_since(self, started: datetime) -> bool:
        try:
            health = self.api.health()
        except (requests.RequestException, DemoError):
            return False
        beats = [health[name].get(f"latest_{name}_heartbeat") for name in HEARTBEATS]
        return all(beat and datetime.fromisoformat(beat) > started for beat in beats)

    def _configuration(self, database_url: str, dags: Sequence[Path], plugins: Path) -> dict[str, str]:
        secret = self._site.credentials.secret
        bundles = [
            {
                "name": folder.name if number else "dags-folder",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for number, folder in enumerate(dags)
        ]
        places: dict[str, dict[str, object]] = {
            "core": {
                "dags_folder": dags[0],
                "plugins_folder": plugins,
                "load_examples": False,
                "fernet_key": self._site.credentials.remember("airflow-fernet-key", _fernet_key),
                "simple_auth_manager_passwords_file": self._home / "passwords.json",
            },
            "database": {"sql_alchemy_conn": database_url},
            "api": {
                "host": "127.0.0.1",
                "port": self.url.rsplit(":", 1)[1],
                "base_url": self.url,
                "secret_key": secret("airflow-secret-key"),
            },
            "api_auth": {"jwt_secret": secret("airflow-jwt-secret", 32)},
            "logging": {"base_log_folder": self._home / "logs"},
            "dag_processor": {"dag_bundle_config_list": json.dumps(bundles)},
        }
        variables = {
            f"AIRFLOW__{section}__{option}".upper(): str(value)
            for sections in (BEHAVIOUR, places)
            for section, options in sections.items()
            for option, value in options.items()
        }
        return {**variables, "AIRFLOW_HOME": str(self._home), "PYTHONPATH": str(plugins)}


def address_of(site: Site) -> str:
    """Return the address of a site's API server, also before it is started."""
    return f"http://127.0.0.1:{site.ports.find('airflow')}"


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()

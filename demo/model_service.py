"""The service that answers with a model, as a process: one instance per alias."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from demo.processes import clean_environment
from demo.site import Site
from demo.waiting import wait_until

ALIASES = ("test", "champion")
# Seconds that a service may take to load a model that it knows of.
PATIENCE = 60
# Where it finds songs by name: the dataset's history.
SONGS = "s3://data/song_properties/"


class ModelService:
    """
    One instance of the service on loopback, see model/README.md.

    :param alias: the alias in MLflow's registry that says which model answers.
    :param project: the folder that holds model/ and feature_repo/.
    :param environment: the variables with which Feast and MLflow find the servers.
    :param links: further options with addresses for the page: ``mlflow-url``, ``airflow-url``.
    """

    def __init__(
        self,
        site: Site,
        alias: str,
        project: Path,
        environment: Mapping[str, str],
        links: Mapping[str, str] | None = None,
    ) -> None:
        self._site = site
        self._project = project
        self._environment = environment
        self._alias = alias
        self._links = dict(links or {})
        self._port = site.ports.find(f"model-{alias}")

    @property
    def url(self) -> str:
        """The address of its page and its API."""
        return f"http://127.0.0.1:{self._port}"

    def _code(self) -> str:
        """Return where its modules are: the service's, and those that read features."""
        return os.pathsep.join(str(self._project / name) for name in ("model", "plugins"))

    def start(self) -> None:
        """Start the instance and wait until it lives; it is ready once there is a model to answer with."""
        options = {
            "alias": self._alias,
            "port": self._port,
            "feature-repo": self._project / "feature_repo",
            "state": self._site.folder(f"model-{self._alias}"),
            "songs": SONGS,
            **self._links,
        }
        child = self._site.processes.start(
            f"model-{self._alias}",
            [
                sys.executable,
                "-m",
                "jukebox",
                "serve",
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            environment=clean_environment(**{**self._environment, "PYTHONPATH": self._code()}),
        )

        def lives() -> bool:
            child.check()
            return self._says("live")

        wait_until(
            lives,
            f"the model service for {self._alias} lives",
            timeout=120,
            interval=0.2,
            remedy=f"see {child.log}",
        )

    def wait_for_model(self) -> None:
        """Wait until there is a model that answers; a :class:`DemoError` if none does."""
        wait_until(
            lambda: self._says("ready"),
            f"the model service for {self._alias} has a model",
            timeout=PATIENCE,
            interval=0.2,
            remedy=f"see what it says at {self.url}/model",
        )

    def _says(self, state: str) -> bool:
        with urlopen(f"{self.url}/health/{state}", timeout=10) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)

"""What a prediction needs, as processes: songs online, a trained model, its service, and ``feast serve``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import psutil

from demo.model_service import ALIASES, ModelService
from demo.processes import clean_environment
from demo.progress import Progress
from demo.rankings import rankings
from demo.servers import Servers
from demo.songs import catalogue
from demo.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[1]
VIEW, SERVICE, MODEL = "song_properties", "serving_fs", "jukebox"
_HISTORY = "data/song_properties/catalogue.parquet"
_RANKINGS = "data/song_rankings/rankings.parquet"


class JukeboxServers:
    """
    The demo's servers with 14,245 songs online and a model of them, two processes for either peer.

    :param home: folder of all state.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.songs: list[str] = []
        self.servers = Servers(home)
        self._environment: dict[str, str] = {}

    def start(self, progress: Progress, stock: bool = True) -> None:
        """
        Start all, fill the store, train the model; all of it is warm when this returns.

        :param stock: start ``feast serve``, too.
        """
        servers = self.servers
        progress("Starting the servers …")
        servers.start()
        servers.mlflow.start()
        for bucket in ("data", "models"):
            servers.create_bucket(bucket)
        self._environment = {
            **servers.object_store.environment(),
            "FEAST_REGISTRY_URL": servers.create_database("feast"),
            "FEAST_ONLINE_STORE": servers.online_store,
            "MLFLOW_TRACKING_URI": servers.mlflow.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        os.environ.update(self._environment)
        shutil.copytree(
            PROJECT / "feature_repo", self.feature_repo, ignore=shutil.ignore_patterns("__pycache__")
        )
        progress("Loading the songs …")
        self._load()
        progress("Training the model …")
        self._train()
        progress("Starting the model's services and feast serve …")
        services = [ModelService(servers.site, alias, PROJECT, self._environment) for alias in ALIASES]
        for service in services:
            service.start()
            service.wait_for_model()
        self.ours = [service.url for service in services]
        self.stock = [self._start_feast(number) for number in (1, 2)] if stock else []

    def stop(self) -> None:
        """Stop all."""
        self.servers.stop()

    def used(self) -> float:
        """Return the processor seconds that all servers of predictions and features have used, Valkey too."""
        found = 0.0
        for child in self.servers.processes.children:
            if child.name.startswith(("model-", "feast-serve-", "valkey")):
                parent = psutil.Process(child.process.pid)
                for process in (parent, *parent.children(recursive=True)):
                    times = process.cpu_times()
                    found += times.user + times.system
        return found

    @property
    def feature_repo(self) -> Path:
        """The feature definitions, as they are applied."""
        return self.home / "feature_repo"

    @property
    def model(self) -> Path:
        """Folder with the model that the services answer with."""
        return self.home / "model"

    def _load(self) -> None:
        from feast import FeatureStore

        self._run("feast-apply", [_program("feast"), "apply"], self.feature_repo)
        songs = catalogue()
        seen = songs["event_timestamp"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")
        songs = songs.assign(event_timestamp=seen, ingested_at=seen + pd.Timedelta(hours=1))
        filesystem = self.servers.object_store.filesystem
        songs.to_parquet(_HISTORY, index=False, filesystem=filesystem)
        rankings(songs).to_parquet(_RANKINGS, index=False, filesystem=filesystem)
        store = FeatureStore(repo_path=str(self.feature_repo))
        fields = [field.name for field in store.get_feature_view(VIEW).schema]
        store.write_to_online_store(VIEW, songs[[*fields, "event_timestamp", "ingested_at"]])
        # As many as fit into a pipe at once: who asks is told them through one, and none waits for another.
        self.songs = songs["spotify_id"].sample(2000, random_state=0).tolist()

    def _train(self) -> None:
        from mlflow import MlflowClient
        from mlflow.artifacts import download_artifacts

        arguments = {
            "feature-repo": self.feature_repo,
            "feature-service": SERVICE,
            "revision": "benchmark",
            "rankings": f"s3://{_RANKINGS}",
            "dataset-version": "benchmark",
            "definition-hash": "benchmark",
            "result": self.home / "result.json",
        }
        command = [sys.executable, "-m", "jukebox", "train"]
        self._run("train", [*command, *(f"--{name}={value}" for name, value in arguments.items())], self.home)
        result = pd.read_json(self.home / "result.json", typ="series")
        client = MlflowClient()
        client.create_registered_model(MODEL)
        version = client.create_model_version(MODEL, result["artifact_uri"], result["run_id"]).version
        for alias in ALIASES:
            client.set_registered_model_alias(MODEL, alias, version)
        self.model.mkdir()
        download_artifacts(artifact_uri=f"models:/{MODEL}/{version}", dst_path=str(self.model))

    def _start_feast(self, number: int) -> str:
        name = f"feast-serve-{number}"
        port = self.servers.site.ports.find(name)
        child = self.servers.processes.start(
            name,
            # Without these two it would write a line for each request, and start anew after a thousand.
            [_program("feast"), "serve", f"--port={port}", "--no-access-log", "--max-requests=0"],
            environment=clean_environment(**self._environment),
            cwd=self.feature_repo,
        )
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            child.check()
            with urlopen(f"{url}/health", timeout=10) as response:  # noqa: S310 - our own address
                return bool(response.status == 200)

        wait_until(answers, "feast serve answers", timeout=120, interval=0.2, remedy=f"see {child.log}")
        return url

    def _run(self, name: str, command: list[str | Path], folder: Path) -> None:
        environment = clean_environment(**self._environment, PYTHONPATH=str(PROJECT / "model"))
        self.servers.processes.run(name, command, environment, folder, "mend that first")


def _program(name: str) -> Path:
    return Path(sys.executable).with_name(name)

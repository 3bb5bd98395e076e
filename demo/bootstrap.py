"""
What a first start puts into the servers, in processes or in containers.

Each part looks at what is there and adds what is missing, so that a first start which was killed
anywhere is completed by the next one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from demo.airflow_api import AirflowApi
from demo.errors import DemoError
from demo.first_runs import FirstRuns
from demo.object_store import create_bucket
from demo.processes import clean_environment
from feature_ops.feast.applied_commit import AppliedCommit
from feature_ops.object_store import ObjectStore

BUCKETS = ("data", "data-cache", "models")
RANKINGS = "data/song_rankings/rankings.parquet"
REPOSITORY = "jukebox"
PROJECT_NAME = "music"
LOAD_DAG = "song_properties_etl"
TRAINING_DAG = "continuous_training"
POOL = "feature_store"
README = """\
# Jukebox

- `feature_repo/`: the features, as Feast is told them
- `model/`: the model that is trained on them and served with them
- `data/`: one DVC pointer per file of data, written by Airflow; `dvc pull` fetches the files
"""


class Bootstrap:
    """
    Fills the servers of a stack.

    :param git_url: the repository, which is there; it may be empty.
    :param environment: the variables with which feast and git find the servers and sign in.
    :param project: the folder that holds feature_repo/ and model/.
    :param inbox: where the catalogue is put.
    """

    def __init__(
        self,
        object_store: ObjectStore,
        git_url: str,
        environment: Mapping[str, str],
        project: Path,
        inbox: Path,
    ) -> None:
        self._object_store = object_store
        self._git_url = git_url
        self._environment = environment
        self._project = project
        self._inbox = inbox

    def create_buckets(self) -> None:
        """Create the buckets, which the other parts need."""
        for bucket in BUCKETS:
            create_bucket(self._object_store, bucket)

    def prepare(self) -> None:
        """Push the first commit, and apply its feature definitions."""
        with tempfile.TemporaryDirectory(prefix="jukebox-") as folder:
            work = Path(folder, REPOSITORY)
            if not self._git("ls-remote", self._git_url, "refs/heads/main", cwd=Path(folder)):
                self._seed_repository(work)
            self._apply_features(work)

    def create_pool(self, api: AirflowApi) -> None:
        """Create the pool; without it tasks that ask for it are never scheduled."""
        api.set_pool(POOL, 1, "One writer to the feature store at a time")

    def upload_rankings(self, catalogue: Path | None) -> None:
        """
        Put the charts that the model learns from beside the dataset, unless they are there.

        :param catalogue: parquet file of the songs that the charts are of; generated if None.
        """
        import pandas as pd

        from demo.rankings import rankings
        from demo.songs import catalogue as generated

        store = self._object_store
        if store.exists(f"s3://{RANKINGS}"):
            return
        charts = rankings(generated() if catalogue is None else pd.read_parquet(catalogue))
        charts.to_parquet(RANKINGS, index=False, filesystem=store.filesystem)

    def load_catalogue(self, runs: FirstRuns, catalogue: Path | None) -> None:
        """
        Load the catalogue through the DAG, once.

        :param catalogue: parquet file; generated if None.
        """
        runs.succeed_once(
            LOAD_DAG,
            "first_load",
            "Loading the catalogue",
            lambda: {"dataset_url": self._put_into_inbox(catalogue).as_uri()},
        )

    def train_model(self, runs: FirstRuns) -> None:
        """Train the first model through the DAG, once; the first one is in production, too."""
        runs.succeed_once(TRAINING_DAG, "first_training", "Training the first model", dict)

    def _put_into_inbox(self, catalogue: Path | None) -> Path:
        target = self._inbox / "catalogue.parquet"
        if catalogue is None:
            from demo.songs import write_catalogue, write_new_song

            write_catalogue(target)
            write_new_song(self._inbox / "new_song.parquet")
        else:
            shutil.copyfile(catalogue, target)
        return target

    def _seed_repository(self, work: Path) -> None:
        self._git("init", "--quiet", "--initial-branch=main", str(work), cwd=work.parent)
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        for part in ("feature_repo", "model"):
            shutil.copytree(self._project / part, work / part, ignore=ignored)
        (work / "README.md").write_text(README)
        (work / ".gitignore").write_text("__pycache__/\n")
        self._git("add", "--all", cwd=work)
        self._git("commit", "--quiet", "--message=Define the features of a song and the model", cwd=work)
        self._git("push", "--quiet", self._git_url, "main", cwd=work)

    def _apply_features(self, work: Path) -> None:
        """Apply the first commit, and say so to the registry; later ones are applied by their DAG."""
        registry = AppliedCommit(self._environment["FEAST_REGISTRY_URL"], PROJECT_NAME)
        if registry.state().applied is not None:
            return
        if not work.exists():
            self._git("clone", "--quiet", self._git_url, str(work), cwd=work.parent)
        first = self._git("rev-list", "--max-parents=0", "main", cwd=work)
        self._run(
            [str(Path(sys.executable).with_name("feast")), "apply"],
            self._project / "feature_repo",
            # Its feature_store.yaml names the package, which need not be installed.
            PYTHONPATH=str(self._project / "plugins"),
        )
        registry.finish(first)

    def _git(self, *arguments: str, cwd: Path) -> str:
        return self._run(["git", *arguments], cwd)

    def _run(self, command: list[str], cwd: Path, **variables: str) -> str:
        identity = {"NAME": "Jukebox team", "EMAIL": "jukebox@localhost"}
        names = {f"GIT_{role}_{key}": v for role in ("AUTHOR", "COMMITTER") for key, v in identity.items()}
        # No settings of the user's own, such as a template folder or a credential store.
        git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **names}
        environment = clean_environment(**{**self._environment, **git, **variables})
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip())[-500:]
            raise DemoError(f"{Path(command[0]).name} {command[1]} failed: {told}; start again.")
        return done.stdout.strip()

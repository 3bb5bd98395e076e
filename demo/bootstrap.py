"""
What a first start puts into the servers.

Each part looks at what is there and adds what is missing, so that a first start which was killed
anywhere is completed by the next one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from demo.airflow_api import AirflowApi
from demo.errors import DemoError
from demo.first_runs import FirstRuns
from demo.processes import clean_environment
from demo.servers import Servers
from feature_ops.feast.applied_commit import AppliedCommit

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

    :param environment: the variables with which feast and git find the servers.
    :param project: the folder that holds feature_repo/ and model/.
    :param inbox: where the catalogue is put.
    """

    def __init__(self, servers: Servers, environment: Mapping[str, str], project: Path, inbox: Path) -> None:
        self._servers = servers
        self._environment = environment
        self._project = project
        self._feature_repo = project / "feature_repo"
        self._inbox = inbox

    def create_buckets(self) -> None:
        """Create the buckets, which the other parts need."""
        for bucket in BUCKETS:
            self._servers.create_bucket(bucket)

    def prepare(self) -> None:
        """Create the git repository, and apply the feature definitions the first time."""
        self._servers.create_repository(REPOSITORY)
        self._seed_repository()
        self._apply_features()

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

        store = self._servers.object_store
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

    def _seed_repository(self) -> None:
        bare = self._servers.home / "git" / f"{REPOSITORY}.git"
        if self._git("rev-parse", "--verify", "--quiet", "main", cwd=bare, check=False):
            return
        with tempfile.TemporaryDirectory(dir=self._servers.home) as folder:
            work = Path(folder)
            self._git("init", "--quiet", "--initial-branch=main", cwd=work)
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            for part in ("feature_repo", "model"):
                shutil.copytree(self._project / part, work / part, ignore=ignored)
            (work / "README.md").write_text(README)
            (work / ".gitignore").write_text("__pycache__/\n")
            self._git("add", "--all", cwd=work)
            self._git("commit", "--quiet", "--message=Define the features of a song and the model", cwd=work)
            self._git("push", "--quiet", str(bare), "main", cwd=work)

    def _git(self, *arguments: str, cwd: Path, check: bool = True) -> str:
        identity = {"NAME": "Jukebox team", "EMAIL": "jukebox@localhost"}
        names = {f"GIT_{role}_{key}": v for role in ("AUTHOR", "COMMITTER") for key, v in identity.items()}
        environment = clean_environment(**names, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise DemoError(f"git {arguments[0]} failed: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()

    def _apply_features(self) -> None:
        """Apply the first commit, and say so to the registry; later ones are applied by their DAG."""
        stamp = self._servers.home / "applied"
        if stamp.exists():
            return
        self._servers.processes.run(
            "feast-apply",
            [Path(sys.executable).with_name("feast"), "apply"],
            environment=clean_environment(**self._environment),
            cwd=self._feature_repo,
            remedy="correct feature_repo/ and start again",
        )
        bare = self._servers.home / "git" / f"{REPOSITORY}.git"
        first = self._git("rev-list", "--max-parents=0", "main", cwd=bare)
        AppliedCommit(self._environment["FEAST_REGISTRY_URL"], PROJECT_NAME).finish(first)
        stamp.touch()

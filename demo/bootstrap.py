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
from demo.processes import clean_environment
from demo.servers import Progress, Servers
from demo.waiting import wait_until
from feature_ops.feast.applied_commit import AppliedCommit

BUCKETS = ("data", "data-cache", "models")
REPOSITORY = "jukebox"
PROJECT_NAME = "music"
DAG_ID = "song_properties_etl"
POOL = "feature_store"
FIRST_LOAD = "first_load"
README = """\
# Jukebox

- `feature_repo/`: the features, as Feast is told them
- `data/`: one DVC pointer per file of data, written by Airflow; `dvc pull` fetches the files
"""


class Bootstrap:
    """
    Fills the servers of a stack.

    :param environment: the variables with which feast and git find the servers.
    :param project: the folder that holds feature_repo/.
    :param inbox: where the catalogue is put.
    """

    def __init__(self, servers: Servers, environment: Mapping[str, str], project: Path, inbox: Path) -> None:
        self._servers = servers
        self._environment = environment
        self._feature_repo = project / "feature_repo"
        self._inbox = inbox

    def prepare(self) -> None:
        """Create the buckets, the git repository, and apply the feature definitions the first time."""
        for bucket in BUCKETS:
            self._servers.create_bucket(bucket)
        self._servers.create_repository(REPOSITORY)
        self._seed_repository()
        self._apply_features()

    def create_pool(self, api: AirflowApi) -> None:
        """Create the pool; without it tasks that ask for it are never scheduled."""
        api.set_pool(POOL, 1, "One writer to the feature store at a time")

    def load_catalogue(self, api: AirflowApi, catalogue: Path | None, progress: Progress) -> None:
        """
        Load the catalogue through the DAG unless a run of an earlier start has done so.

        :param catalogue: parquet file; generated if None.
        """
        self._wait_for_dag(api)
        runs = [run for run in api.dag_runs(DAG_ID) if run["dag_run_id"].startswith(FIRST_LOAD)]
        states = {run["dag_run_id"]: run["state"] for run in runs}
        if "success" in states.values():
            return
        progress(f"Loading the catalogue through the DAG {DAG_ID} …")
        unfinished = [run_id for run_id, state in states.items() if state != "failed"]
        if unfinished:
            run_id = unfinished[0]
            progress(
                "The last start was killed during it: that run goes on. A killed task is retried in a minute."
            )
        else:
            url = self._put_into_inbox(catalogue).as_uri()
            run_id = api.trigger(DAG_ID, {"dataset_url": url}, f"{FIRST_LOAD}_{len(states) + 1}")
        self._follow(api, run_id, progress)

    def _follow(self, api: AirflowApi, run_id: str, progress: Progress) -> None:
        """Tell each task's line as it ends; a :class:`DemoError` if the run fails."""
        told: set[str] = set()

        def ended() -> str | None:
            state: str = api.dag_run(DAG_ID, run_id)["state"]
            done = {t for t, s in api.task_states(DAG_ID, run_id).items() if s in ("success", "failed")}
            if done - told:
                lines = api.summaries(DAG_ID, run_id)
                for task in sorted(done - told):
                    progress(f"  {task}: {lines.get(task, 'ended without a word')}")
                told.update(done)
            return state if state in ("success", "failed") else None

        if wait_until(ended, "the first load ends", timeout=900, interval=0.5) == "failed":
            raise DemoError(
                f"The first load failed, see above and {self._servers.home}/airflow/logs: "
                "`make demo` tries it once more."
            )

    def _put_into_inbox(self, catalogue: Path | None) -> Path:
        target = self._inbox / "catalogue.parquet"
        if catalogue is None:
            from demo.songs import write_catalogue, write_new_song

            write_catalogue(target)
            write_new_song(self._inbox / "new_song.parquet")
        else:
            shutil.copyfile(catalogue, target)
        return target

    def _wait_for_dag(self, api: AirflowApi) -> None:
        def parsed() -> bool:
            errors = api.import_errors()
            if errors:
                filename, line = next(iter(errors.items()))
                raise DemoError(f"Airflow can't import {filename}: {line}. Correct the file and start again.")
            return api.has_dag(DAG_ID)

        wait_until(
            parsed, f"Airflow knows the DAG {DAG_ID}", timeout=120, interval=0.3, remedy="see the logs"
        )

    def _seed_repository(self) -> None:
        bare = self._servers.home / "git" / f"{REPOSITORY}.git"
        if self._git("rev-parse", "--verify", "--quiet", "main", cwd=bare, check=False):
            return
        with tempfile.TemporaryDirectory(dir=self._servers.home) as folder:
            work = Path(folder)
            self._git("init", "--quiet", "--initial-branch=main", cwd=work)
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(self._feature_repo, work / "feature_repo", ignore=ignored)
            (work / "README.md").write_text(README)
            (work / ".gitignore").write_text("__pycache__/\n")
            self._git("add", "--all", cwd=work)
            self._git("commit", "--quiet", "--message=Define the features of a song", cwd=work)
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

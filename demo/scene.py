"""What an act of the story works with: the stack, the songs, and the views a user has of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from demo.airflow_api import ENDED, AirflowApi
from demo.asking import Answer, SteadyCrowd, predict
from demo.container_stack import ContainerStack
from demo.data_scientist import DataScientist, Push
from demo.stack import Stack
from demo.steady_reader import SteadyReader
from demo.waiting import wait_until

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = Path(__file__).resolve().parents[1]
DAG_ID = "song_properties_etl"
TRAINING_DAG_ID = "continuous_training"
PROMOTION_DAG_ID = "promote_model"
DEFINITIONS = "feature_definitions"
KEY = "spotify_id"
TIMESTAMPS = ("event_timestamp", "snapshot_date")
# Feast keeps them as Float32: a value read back differs from the file's double in the eighth digit.
FLOAT_TOLERANCE = 1e-6


class StoryError(Exception):
    """What an act promised is not so."""


def expect(actual: object, wanted: object, what: str) -> None:
    """Raise a :class:`StoryError` that tells both values unless they are equal."""
    if actual != wanted:
        raise StoryError(f"{what}: expected {wanted!r}, got {actual!r}")


@dataclass(frozen=True)
class EtlRun:
    """A finished run of the ETL: its id, the state of each task, its tries and what it returned."""

    run_id: str
    states: dict[str, str]
    facts: dict[str, dict[str, Any]]
    summaries: dict[str, str]
    tries: dict[str, int]


@dataclass(frozen=True)
class TrainingRun:
    """
    A finished run of continuous training, or of a promotion.

    :param seconds_to_start: seconds from the end of the push to the run's start; 0 for one by hand.
    """

    run_id: str
    states: dict[str, str]
    facts: dict[str, dict[str, Any]]
    summaries: dict[str, str]
    seconds_to_start: float = 0.0


@dataclass
class Scene:
    """
    The stage of the story.

    :param stack: a running stack whose catalogue is ``base``.
    :param base: songs that were loaded at the first start, with lower-case column names.
    :param new: songs that come in during the story; ``song_id`` is one of them.
    :param rate: requests per second to each model, from the first act with a commit to the last.
    :param last_run: the run that was looked at last.
    """

    stack: Stack | ContainerStack
    base: pd.DataFrame
    new: pd.DataFrame
    song_id: str
    rate: float = 20.0
    remembered: dict[str, Any] = field(default_factory=dict)
    last_run: EtlRun | TrainingRun | None = None

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow's REST API, signed in as the stack's user."""
        return self.stack.api

    @cached_property
    def feature_store(self) -> FeatureStore:
        """The feature store as a data scientist opens it: by environment and feature_repo/."""
        os.environ.update(self.stack.environment())
        from feast import FeatureStore
        from s3fs import S3FileSystem

        # s3fs keeps its instances by their arguments, not by the addresses they had from the
        # environment: one of an earlier stack in this process would be used again.
        S3FileSystem.clear_instance_cache()
        return FeatureStore(repo_path=str(PROJECT / "feature_repo"))

    @cached_property
    def data_scientist(self) -> DataScientist:
        """Somebody with a clone of the repository."""
        return DataScientist(self.stack.home / "clone", self.stack.git_url, self.stack.environment())

    @cached_property
    def reader(self) -> SteadyReader:
        """Somebody who reads the features of some songs of the catalogue all the time."""
        from feast import FeatureStore

        os.environ.update(self.stack.environment())
        songs = [{KEY: str(song)} for song in self.base[KEY].unique()[:20]]
        store = FeatureStore(repo_path=str(PROJECT / "feature_repo"))
        return SteadyReader(store, "serving_fs", songs, pause=0.25)

    @cached_property
    def crowds(self) -> dict[str, SteadyCrowd]:
        """Many who ask the models in test and in production for songs of the catalogue all the time."""
        songs = [str(song) for song in self.base[KEY].unique()[:50]]
        return {
            alias: SteadyCrowd(self.stack.model_url(alias), songs, self.rate)
            for alias in ("test", "champion")
        }

    def predict(self, song_id: str, alias: str = "champion") -> Answer:
        """Ask as the page does: the model in production, or the one in test."""
        return predict(self.stack.model_url(alias), song_id)

    def put_in_inbox(self, name: str, songs: pd.DataFrame) -> str:
        """Write the songs as a parquet file that the demo may ingest; returns its ``file://`` URL."""
        songs.to_parquet(self.stack.inbox / name, index=False)
        return self.stack.dataset_url(name)

    def run_etl(self, dataset_url: str, ends: str = "success", **conf: object) -> EtlRun:
        """Trigger the ETL as its form does and wait for its end; a StoryError if it ends otherwise."""
        run_id = self.api.trigger(DAG_ID, {"dataset_url": dataset_url, **conf})
        state = self.api.wait(DAG_ID, run_id, timeout=300)
        instances = self.api.task_instances(DAG_ID, run_id)
        states = {instance["task_id"]: instance["state"] for instance in instances}
        tries = {instance["task_id"]: instance["try_number"] for instance in instances}
        summaries = self.api.summaries(DAG_ID, run_id)
        ended = [task for task, task_state in states.items() if task_state == "success"]
        facts = {task: self.api.xcom(DAG_ID, run_id, task) for task in ended}
        self.last_run = run = EtlRun(run_id, states, facts, summaries, tries)
        expect(state, ends, f"state of run {run_id}")
        return run

    def training_runs(self) -> list[dict[str, Any]]:
        """Return the runs of continuous training, the newest first."""
        return self.api.dag_runs(TRAINING_DAG_ID)

    def ended_training_runs(self) -> list[dict[str, Any]]:
        """Return all runs of continuous training when none of them is under way."""

        def all_ended() -> list[dict[str, Any]] | None:
            runs = self.training_runs()
            return runs if all(run["state"] in ENDED for run in runs) else None

        runs = wait_until(all_ended, "the runs of continuous training end", timeout=300, interval=0.5)
        assert runs
        return runs

    def is_reported(self, push: Push) -> bool:
        """Whether the watcher has reported a pushed commit to Airflow."""
        events = self.api.asset_events(DEFINITIONS)
        return any(event["extra"].get("payload", {}).get("new") == push.commit for event in events)

    def follow(self, push: Push) -> TrainingRun:
        """Wait for the end of the run that took a pushed commit."""
        others: set[str] = set()

        def taken() -> TrainingRun | None:
            for run in self.training_runs():
                if run["dag_run_id"] in others or run["state"] not in ENDED:
                    continue
                facts = self.api.xcom(TRAINING_DAG_ID, run["dag_run_id"], "resolve_commits") or {}
                if facts.get("commit") == push.commit:
                    started = datetime.fromisoformat(run["start_date"]).timestamp()
                    return self.training(run["dag_run_id"], started - push.pushed_at)
                others.add(run["dag_run_id"])
            return None

        run = wait_until(taken, f"a run takes commit {push.commit[:10]}", timeout=300, interval=0.5)
        assert run
        return run

    def promotion_runs(self) -> list[dict[str, Any]]:
        """Return the runs of the promotion, the newest first."""
        return self.api.dag_runs(PROMOTION_DAG_ID)

    def waiting_promotion(self, version: str) -> str:
        """Wait until a version's promotion waits for a person; returns its run id."""

        def waits() -> str | None:
            for run in self.promotion_runs():
                run_id = str(run["dag_run_id"])
                if run["state"] in ENDED:
                    continue
                facts = self.api.xcom(PROMOTION_DAG_ID, run_id, "find_candidate") or {}
                state = self.api.task_states(PROMOTION_DAG_ID, run_id)["approve"]
                if facts.get("version") == version and state in ("deferred", "awaiting_input"):
                    return run_id
            return None

        run_id = wait_until(waits, f"the promotion of version {version} waits", timeout=120, interval=0.5)
        assert run_id
        return run_id

    def decide(self, run_id: str, option: str, why: str) -> TrainingRun:
        """Approve or reject as a person does, and wait for the run's end."""
        answered: set[int] = set()

        def ended() -> bool:
            # Airflow loses an answer that comes before its scheduler has seen the task pause, fails the
            # try and asks again: the person answers again.
            (task,) = (
                one
                for one in self.api.task_instances(PROMOTION_DAG_ID, run_id)
                if one["task_id"] == "approve"
            )
            if task["state"] in ("deferred", "awaiting_input") and task["try_number"] not in answered:
                answered.add(task["try_number"])
                self.api.answer(PROMOTION_DAG_ID, run_id, "approve", option, why=why)
            return self.api.dag_run(PROMOTION_DAG_ID, run_id)["state"] in ENDED

        wait_until(ended, f"the promotion {run_id} ends", timeout=240, interval=0.5)
        return self.training(run_id, dag_id=PROMOTION_DAG_ID)

    def train_by_hand(self, **conf: object) -> TrainingRun:
        """Trigger continuous training as its form does and wait for its end."""
        run_id = self.api.trigger(TRAINING_DAG_ID, conf)
        self.api.wait(TRAINING_DAG_ID, run_id, timeout=300)
        return self.training(run_id)

    def training(
        self, run_id: str, seconds_to_start: float = 0.0, dag_id: str = TRAINING_DAG_ID
    ) -> TrainingRun:
        """Return what a run of continuous training, or of a promotion, said and did."""
        states = self.api.task_states(dag_id, run_id)
        ended = [task for task, state in states.items() if state == "success"]
        facts = {task: self.api.xcom(dag_id, run_id, task) for task in ended}
        summaries = self.api.summaries(dag_id, run_id)
        self.last_run = run = TrainingRun(run_id, states, facts, summaries, seconds_to_start)
        return run

    def service_features(self) -> list[str]:
        """Return the features that a reader of the service gets."""
        store = self.feature_store
        store.refresh_registry()
        projections = store.get_feature_service("serving_fs").feature_view_projections
        return sorted(f"{view.name}:{feature.name}" for view in projections for feature in view.features)

    def online(self, song_ids: Iterable[str]) -> pd.DataFrame:
        """Return the online features of the service, indexed by song id; a missing song has nulls."""
        store = self.feature_store
        store.refresh_registry()
        answer = store.get_online_features(
            features=store.get_feature_service("serving_fs"),
            entity_rows=[{KEY: song_id} for song_id in song_ids],
        )
        return pd.DataFrame(answer.to_dict()).set_index(KEY)

    def historical(self, labels: pd.DataFrame) -> pd.DataFrame:
        """Return the labels with the features as they were at each label's time."""
        store = self.feature_store
        job = store.get_historical_features(labels, store.get_feature_service("serving_fs"))
        return job.to_df().set_index("event_timestamp").sort_index()

    def history(self) -> pd.DataFrame:
        """Return every row that Feast's offline store holds."""
        import pyarrow.dataset

        store = self.stack.object_store
        files = pyarrow.dataset.dataset(
            "data/song_properties/", filesystem=store.filesystem, format="parquet"
        )
        return files.to_table().to_pandas()

    def remote_head(self) -> str:
        """Return the commit that the repository's main branch is at."""
        return self._run("git", "ls-remote", self.stack.git_url, "refs/heads/main").split()[0]

    def rows_at(self, commit: str) -> int:
        """Clone the repository as anybody would, ``dvc pull`` the data at a commit, count its rows."""
        import pyarrow.dataset

        with tempfile.TemporaryDirectory() as folder:
            self._run("git", "clone", "--quiet", self.stack.git_url, folder)
            self._run("git", "-C", folder, "checkout", "--quiet", commit)
            self._run(str(Path(sys.executable).with_name("dvc")), "pull", "--quiet", cwd=folder)
            data = Path(folder, "data", "song_properties")
            return sum(pyarrow.dataset.dataset(file).count_rows() for file in data.glob("*.parquet"))

    def _run(self, *command: str, cwd: str | None = None) -> str:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | self.stack.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if result.returncode:
            raise StoryError(f"{' '.join(command[:3])} failed: {result.stderr.strip()[-500:]}")
        return result.stdout

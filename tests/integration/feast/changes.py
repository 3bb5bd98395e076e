"""A watched repository with feature definitions, and the steps that follow a commit to it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from feast import FeatureStore

from feature_ops.datasets.dataset import Dataset
from feature_ops.feast.applied_commit import AppliedCommit, AppliedState
from feature_ops.feast.definition_operators import (
    ApplyOperator,
    ChangedOperator,
    DiffFeatureServiceOperator,
    ResolveCommitsOperator,
)

FEATURES = """\
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Bool, Float32, Int64, String

track = Entity(name="track", join_keys=["id"], value_type=ValueType.STRING)
tracks = FeatureView(
    name="tracks",
    entities=[track],
    schema=[
        Field(name="id", dtype=String),
        Field(name="energy", dtype=Float32),
        Field(name="plays", dtype=Int64),
    ],
    source=FileSource(
        name="tracks_source",
        path="{uri}",
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="ingested_at",
    ),
)
"""
SERVICE = """\
from feast import FeatureService
from features import tracks

tracks_fs = FeatureService(name="tracks_fs", features=[tracks[["energy", "plays"]]])
"""


class StateStandIn(dict[str, Any]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value


@dataclass
class Run:
    """What each step of a run said, and what it returned."""

    facts: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    skipped: bool = False
    conf: dict[str, Any] | None = None


@dataclass
class Changes:
    """
    A person who pushes, and the DAG's steps.

    :param work: the person's clone.
    :param repo: folder of the deployment's feature_store.yaml.
    :param datasets: datasets whose declarations commits must fit.
    """

    work: Path
    repo: Path
    registry_url: str
    dataset_uri: str
    datasets: Sequence[Dataset] = ()

    def __post_init__(self) -> None:
        self._git("init", "--quiet", "--initial-branch=main")

    @property
    def features(self) -> str:
        return FEATURES.replace("{uri}", self.dataset_uri)

    def start(self, bare: Path) -> str:
        """Push the first commit."""
        self._git("remote", "add", "origin", str(bare))
        self._git("--git-dir", str(bare), "config", "receive.denyNonFastForwards", "false")
        configuration = (self.repo / "feature_store.yaml").read_text()
        return self.push(
            "Define tracks",
            {
                "feature_store.yaml": configuration,
                "features.py": self.features,
                "feature_service.py": SERVICE,
            },
        )

    def push(self, subject: str, files: dict[str, str | None], folder: str = "feature_repo") -> str:
        """Write (or remove) files of the feature repository, commit, push; returns the commit."""
        for name, text in files.items():
            path = self.work / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", subject)
        self._git("push", "--quiet", "--force", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def reset(self, commit: str) -> None:
        """Take the branch back, as a forced push does."""
        self._git("reset", "--quiet", "--hard", commit)

    def run(self, revision: str = "", conf: dict[str, Any] | None = None) -> Run:
        """Do what the DAG does, up to the apply."""
        run = Run(conf=conf)
        resolved = self.step(run, ResolveCommitsOperator(task_id="resolve_commits", revision=revision))
        diff = self.step(
            run,
            DiffFeatureServiceOperator(
                task_id="diff", resolved=resolved, feature_service="tracks_fs", datasets=self.datasets
            ),
        )
        try:
            changed = self.step(run, ChangedOperator(task_id="changed", diff=diff))
        except AirflowSkipException:
            run.skipped = True
            return run
        self.step(run, ApplyOperator(task_id="apply", diff=diff, changed=changed))
        return run

    def apply_again(self, run: Run) -> None:
        """Run the apply of an earlier run once more, as Airflow does when it is cleared."""
        facts = run.facts
        self.step(run, ApplyOperator(task_id="apply", diff=facts["diff"], changed=facts["changed"]))

    @property
    def state(self) -> AppliedState:
        return AppliedCommit(self.registry_url, "radio").state()

    def store(self) -> FeatureStore:
        return FeatureStore(repo_path=str(self.repo))

    def served(self) -> list[str]:
        """Return the features of the service, as a reader who just came finds them."""
        (projection,) = self.store().get_feature_service("tracks_fs").feature_view_projections
        return sorted(feature.name for feature in projection.features)

    def step(self, run: Run, operator: Any) -> dict[str, Any]:
        state = StateStandIn()
        context: Any = {"dag_run": SimpleNamespace(run_id="run", conf=run.conf), "task_state_store": state}
        try:
            run.facts[operator.task_id] = operator.execute(context)
        finally:
            run.said[operator.task_id] = state.get("summary", "")
        return run.facts[operator.task_id]

    def _git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost", *arguments]
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

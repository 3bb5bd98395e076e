"""Runs that overlap, beside each other, beside a person and beside another stack, lose nothing."""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from demo.connections import connection_variables
from demo.servers import Servers
from feature_ops.object_store import split_uri
from tests.integration.etl.steps import CONFIGURATION, STEPS, TRACKS, put_source
from tests.support.warm_python import Program, WarmPython

PROJECT = Path(__file__).resolve().parents[3]
Variables = dict[str, str]

# Waits at a step, or when its file is judged and not accepted yet, until all others are there, so that
# they overlap however fast each one started.
RUN = """
import sys
from airflow.sdk.exceptions import AirflowSkipException
import feature_ops.feast.materialize, feature_ops.datasets.validation, feature_ops.dvc.workspace
from feature_ops.commit_points import BEFORE, CommitPoint, observed_by
from feature_ops.feast.importing import import_feast
from tests.integration.etl.steps import Etl

import_feast()
url, run_id, together, *steps = sys.argv[1:]
proposals = 0

def wait_for_others():
    print("ready", flush=True)
    sys.stdin.readline()

def judged(point, phase):
    global proposals
    if (point, phase) == (CommitPoint.FILE_PROPOSED, BEFORE):
        proposals += 1
        if together == "judged" and proposals == 1:
            wait_for_others()

etl = Etl(url, run_id)
with observed_by(judged):
    for step in steps:
        if step == together:
            wait_for_others()
        try:
            etl.run(step)
        except AirflowSkipException as nothing:
            print(nothing)
            break
print("proposals:", proposals)
"""


@dataclass
class Child:
    """A program that runs beside others."""

    program: Program

    def wait_until_ready(self) -> None:
        said = []
        for line in self.program.stdout:
            if line == "ready\n":
                return
            said.append(line)
        pytest.fail("".join(said))

    def go(self) -> None:
        self.program.stdin.write("\n")
        self.program.stdin.flush()

    def succeed(self) -> str:
        """Wait for its end; returns what it said."""
        said, _ = self.program.communicate(timeout=150)
        assert self.program.wait(150) == 0, said
        return said


@dataclass
class Starter:
    """Starts programs with everything imported, as Airflow's scheduler starts tasks."""

    warm_python: WarmPython

    def __call__(
        self, code: str, *arguments: str, variables: Variables | None = None, folder: Path = PROJECT
    ) -> Child:
        environment = {**os.environ, **(variables or {})}
        program = self.warm_python.start(
            code, *arguments, environment=environment, folder=folder, joined=True
        )
        return Child(program)

    def etl(
        self, url: str, run_id: str, *, together: str = "ingest", variables: Variables | None = None
    ) -> Child:
        return self(RUN, url, run_id, together, *STEPS, variables=variables)

    def feast(self, *arguments: str, repo: Path) -> Child:
        """Start Feast's own command, as a user does."""
        return self(FEAST, *arguments, folder=repo)

    def online(self, repo: Path, variables: Variables | None = None) -> dict[str, int | None]:
        """Return the features that predictions in a process of their own get."""
        said = self(READ, variables=variables, folder=repo).succeed()
        return json.loads(said.splitlines()[-1])


@pytest.fixture
def start(warm_python: WarmPython) -> Starter:
    return Starter(warm_python)


def file_of(number: int) -> dict[str, Any]:
    """Return a file with a row that all have, one that no other has, and one that is newest in the last."""
    return {
        "id": ["everyones", f"of {number}", "moving"],
        "title": ["a title"] * 3,
        "plays": [7, number, number],
        "event_timestamp": [datetime(2026, 5, day, tzinfo=UTC) for day in (1, 1, 1 + number)],
    }


ONLINE = {"everyones": 7, "of 1": 1, "of 2": 2, "of 3": 3, "moving": 3}


@dataclass
class Places:
    """What the runs leave."""

    servers: Servers
    bare: Path

    def rows(self) -> list[tuple[Any, ...]]:
        store, found = self.servers.object_store, []
        for file in store.list(TRACKS.uri):
            bucket, key = split_uri(file.uri)
            content = store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            found += pq.read_table(io.BytesIO(content)).to_pylist()
        return sorted((row["id"], row["event_timestamp"], row["plays"]) for row in found)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.bare), *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def are_complete(self, files: int) -> None:
        """Check that each of the first files is there, whole, once, and git is in order."""
        wanted = {
            row
            for number in range(1, files + 1)
            for row in zip(
                *(file_of(number)[name] for name in ("id", "event_timestamp", "plays")), strict=True
            )
        }
        assert self.rows() == sorted(wanted)
        assert not list(self.servers.object_store.list(TRACKS.accepted_uri))
        assert self.git("rev-list", "--merges", "main") == ""
        self.git("fsck", "--strict")
        pointers = self.git("ls-tree", "--name-only", "main", f"{TRACKS.pointer_folder}/").splitlines()
        history = {
            f"{TRACKS.pointer_folder}/{file.name}.dvc" for file in self.servers.object_store.list(TRACKS.uri)
        }
        assert {name for name in pointers if name.endswith(".dvc")} == history


@pytest.fixture
def places(servers: Servers, git_repository: Any) -> Places:
    return Places(servers, servers.home / "git" / git_repository.url.rsplit("/", 1)[-1])


@pytest.fixture
def source(servers: Servers, feature_repo: Path) -> Callable[[int], str]:
    return lambda number: put_source(servers.object_store, file_of(number))


FEAST = """
import sys
from feast.cli.cli import cli
sys.argv[0] = "feast"
cli()
"""
READ = """
import json
from feast import FeatureStore
store = FeatureStore(".")
rows = [{"id": key} for key in ("everyones", "of 1", "of 2", "of 3", "moving")]
answer = store.get_online_features(store.get_feature_service("tracks_fs"), rows).to_dict()
print(json.dumps(dict(zip(answer["id"], answer["plays"]))))
"""


def run_together(*children: Child) -> list[str]:
    for child in children:
        child.wait_until_ready()
    for child in children:
        child.go()
    return [child.succeed() for child in children]


def test_three_runs_at_once_without_a_pool(
    source: Callable[[int], str], places: Places, feature_repo: Path, start: Starter
) -> None:
    run_together(*(start.etl(source(number), f"run {number}", together="validate") for number in (1, 2, 3)))

    places.are_complete(3)
    assert start.online(feature_repo) == ONLINE


def test_a_run_beside_a_persons_own_materialize_and_apply(
    source: Callable[[int], str], places: Places, feature_repo: Path, start: Starter
) -> None:
    (feature_repo / "definitions.py").write_text(
        "from tests.integration.etl.steps import TRACKS\n" + DEFINITIONS
    )
    run, late = (start.etl(source(number), f"run {number}", together="materialize") for number in (2, 1))
    for child in (run, late):
        child.wait_until_ready()
    persons = [
        start.feast(
            "materialize", "2026-01-01T00:00:00", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", repo=feature_repo
        ),
        start.feast("apply", repo=feature_repo),
    ]
    for child in (run, late):
        child.go()
    for child in (*persons, run, late):
        child.succeed()

    places.are_complete(2)
    assert start.online(feature_repo) == {**ONLINE, "of 3": None, "moving": 2}


DEFINITIONS = """
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Int64, String

track = Entity(name="track", join_keys=["id"], value_type=ValueType.STRING)
tracks_source = FileSource(
    name="tracks_source",
    path=TRACKS.uri,
    file_format=ParquetFormat(),
    timestamp_field="event_timestamp",
    created_timestamp_column="ingested_at",
)
schema = [Field(name="id", dtype=String), Field(name="plays", dtype=Int64)]
tracks = FeatureView(name="tracks", entities=[track], schema=schema, source=tracks_source)
tracks_fs = FeatureService(name="tracks_fs", features=[tracks], description="edited meanwhile")
"""


@pytest.fixture
def second_stack(
    servers: Servers, git_repository: Any, feature_repo: Path, tmp_path: Path, start: Starter
) -> tuple[Path, Variables]:
    """Another registry and online store on the same git remote and bucket: its repository and variables."""
    repo = tmp_path / "second"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(CONFIGURATION)
    feast_environment = {
        "FEAST_REGISTRY_URL": servers.create_database(f"feast_{secrets.token_hex(4)}"),
        "FEAST_ONLINE_STORE": f"{servers.valkey.admin_connection_string},db=1",
    }
    variables = {
        **connection_variables(
            object_store=servers.object_store,
            git_url=git_repository.url,
            git_login=git_repository.login,
            git_password=git_repository.password,
            feast_environment=feast_environment,
        ),
        **feast_environment,
        "FEATURE_OPS_FEATURE_REPO": str(repo),
        "FEATURE_OPS_WORK_DIR": str(repo / "work"),
    }
    code = "from pathlib import Path; from tests.integration.etl.steps import *; apply_definitions(Path('.'))"
    start(code, variables=variables, folder=repo).succeed()
    return repo, variables


def test_two_stacks_on_one_git_remote_and_bucket(
    source: Callable[[int], str],
    places: Places,
    feature_repo: Path,
    second_stack: tuple[Path, Variables],
    start: Starter,
) -> None:
    repo, variables = second_stack
    first = start.etl(source(1), "run 1", together="judged")
    second = start.etl(source(2), "run 2", together="judged", variables=variables)
    said = run_together(first, second)
    # Both found the row that all have to be new; whoever came second found it known.
    assert sorted(line for text in said for line in text.splitlines() if line.startswith("proposals:")) == [
        "proposals: 1",
        "proposals: 2",
    ]
    places.are_complete(2)

    # Each has what the other brought once it has run after it.
    for number, more in ((3, {}), (3, variables)):
        run_together(start.etl(source(number), f"run {number}", variables=more))
    places.are_complete(3)
    assert start.online(feature_repo) == start.online(repo, variables) == ONLINE

"""
Any sequence of runs leaves what a model in plain Python says.

Hypothesis makes the sequences: files of few keys, times and values, so that late rows, repetitions,
corrections at an equal time and conflicts are frequent; runs whose steps come in any order; runs that
die and are retried, or not. `make fuzz` looks further than the fixed sequences of CI.

A death here is an exception that nothing catches, at a chosen effect of a step. Processes that are
really killed are the matter of other tests.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Int64, String
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from demo.servers import Servers
from feature_ops.datasets.acceptance import Acceptance
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.dvc.workspace import DvcWorkspace
from feature_ops.feast.backfill_progress import BackfillProgress
from feature_ops.feast.hook import FeastHook
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator
from feature_ops.git.repository import Repository
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import Settings, get_settings

FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))

LIGHTS = Dataset(
    name="lights",
    keys=("light",),
    feature_service="lights_service",
    columns=(
        Column(name="light", type=ColumnType.STRING),
        Column(name="level", type=ColumnType.INT64),
        Column(name="mood", type=ColumnType.STRING, nullable=True),
    ),
)

CONFIGURATION = """\
project: house
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
offline_store:
  type: file
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
batch_engine:
  type: feature_ops.feast.engine.ArrowEngine
entity_key_serialization_version: 3
"""

KEYS = ("hall", "roof")
# Runs are stamped with the same times that files bring, so that they collide.
TIMES = tuple(datetime(2024, 6, 1, 12, minute, tzinfo=UTC) for minute in range(4))


class Row(NamedTuple):
    """A version of a key as a file brings it; without a time where the file has none."""

    key: str
    time: datetime
    values: tuple[int, str | None]


class Killed(BaseException):
    """Nothing in the package catches it, as nothing survives a kill."""


@dataclass(frozen=True)
class Death:
    """Where a step dies: at a call of a function, before or after its work."""

    step: str
    owner: Any
    name: str
    after: bool

    def __repr__(self) -> str:
        return f"{self.step} dies {'after' if self.after else 'before'} {self.name}"


DEATHS = tuple(
    Death(step, owner, name, after)
    for step, owner, name in (
        ("ingest", ObjectStore, "list"),
        ("validate", ObjectStore, "put_bytes"),
        ("validate", ObjectStore, "put_file_once"),
        ("validate", Acceptance, "accept"),
        ("validate", Acceptance, "_move"),
        ("version", DvcWorkspace, "push"),
        ("version", Repository, "push"),
        ("upload", ObjectStore, "put_file_once"),
        ("upload", ObjectStore, "delete"),
        ("materialize", FeatureStore, "materialize"),
        ("materialize", Ledger, "record"),
    )
    for after in (False, True)
)


@dataclass(frozen=True)
class Run:
    """
    A run of the ETL.

    :param rows: what its file holds.
    :param own_times: whether the file says when; if not, the run's own time counts.
    :param death: where it dies, if anywhere.
    :param retried: whether somebody tries again after its death.
    :param loads: whether it comes to its last two steps at all.
    """

    rows: tuple[Row, ...]
    own_times: bool
    death: Death | None
    retried: bool
    loads: bool


@dataclass
class Model:
    """The whole truth: every version that was accepted, in the order of acceptance."""

    versions: list[Row] = field(default_factory=list)

    def accept(self, rows: list[Row]) -> bool:
        """Take what is new in a file; returns whether the file is taken at all."""
        fresh = set(rows)
        if len({(row.key, row.time) for row in fresh}) < len(fresh):
            return False
        line = list(self.versions)
        for row in sorted(fresh, key=lambda row: (row.key, row.time)):
            before = latest(version for version in line if version.time <= row.time).get(row.key)
            if before is None or before.values != row.values:
                line.append(row)
        self.versions = line
        return True


def latest(versions: Iterator[Row] | list[Row]) -> dict[str, Row]:
    """Return each key's version with the latest time, of those the last accepted."""
    newest: dict[str, Row] = {}
    for row in versions:
        if row.key not in newest or newest[row.key].time <= row.time:
            newest[row.key] = row
    return newest


class TaskStateStandIn(dict[str, Any]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value


class House:
    """The dataset's places on the real servers; empty at the start of each sequence."""

    def __init__(self, servers: Servers, registry_url: str, repo: Path) -> None:
        self._servers, self.objects = servers, servers.object_store
        self._ledger, self._progress = Ledger(registry_url), BackfillProgress(registry_url)
        source = FileSource(
            name="lights_source",
            path=LIGHTS.uri,
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="ingested_at",
        )
        entity = Entity(name="light", join_keys=["light"], value_type=ValueType.STRING)
        fields = [
            Field(name="light", dtype=String),
            Field(name="level", dtype=Int64),
            Field(name="mood", dtype=String),
        ]
        view = FeatureView(name="lights", entities=[entity], schema=fields, source=source)
        self.feast = FeatureStore(repo_path=str(repo))
        self.feast.apply([entity, view, FeatureService(name="lights_service", features=[view])])
        self._service = self.feast.get_feature_service("lights_service")
        self._sequences = 0
        self.repository = ""

    def clear(self, *, with_git: bool) -> None:
        for prefix in (LIGHTS.uri, LIGHTS.accepted_uri, LIGHTS.acceptance_uri, LIGHTS.staging_uri):
            for file in list(self.objects.list(prefix)):
                self.objects.delete(file.uri)
        self._ledger.forget("house", "lights")
        self._progress.finish("house", "lights")
        self._servers.valkey.flush()
        self._sequences += 1
        self.repository = self._servers.create_repository(f"house-{self._sequences}") if with_git else ""

    def source(self, rows: tuple[Row, ...], name: str, *, own_times: bool) -> str:
        """Put a file for a run to ingest; returns its URL."""
        columns: dict[str, Any] = {
            "light": pa.array([row.key for row in rows], pa.string()),
            "level": pa.array([row.values[0] for row in rows], pa.int64()),
            "mood": pa.array([row.values[1] for row in rows], pa.string()),
        }
        if own_times:
            columns["event_timestamp"] = pa.array([row.time for row in rows], pa.timestamp("us", tz="UTC"))
        content = io.BytesIO()
        pq.write_table(pa.table(columns), content)
        url = f"{get_settings().storage_uri}/inbox/{name}.parquet"
        self.objects.put_bytes(content.getvalue(), url)
        return url

    def publish(self) -> None:
        """What version and upload come to, in a fraction of their time."""
        Acceptance(LIGHTS, self.objects).latest()
        for file in list(self.objects.list(LIGHTS.accepted_uri)):
            self.objects.copy(file.uri, LIGHTS.uri + file.name)
            self.objects.delete(file.uri)

    def accepted_last(self) -> str:
        """Return generation and name of the file that was accepted last, by a dying run, too."""
        found = self.objects.get_bytes(f"{LIGHTS.acceptance_uri}latest.json")
        return "{generation}/{file}".format(**json.loads(found[0])) if found else "none"

    def versions(self, *prefixes: str) -> list[Row]:
        """Return the rows of all files, each file once, in the order of their ingestion."""
        files = {file.name: file.uri for prefix in prefixes for file in self.objects.list(prefix)}
        rows = [row for uri in files.values() for row in self._rows(uri)]
        return [
            Row(row["light"], row["event_timestamp"], (row["level"], row["mood"]))
            for row in sorted(rows, key=lambda row: row["ingested_at"])
        ]

    def _rows(self, uri: str) -> list[dict[str, Any]]:
        bucket, key = split_uri(uri)
        body = self.objects.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return pq.read_table(io.BytesIO(body)).to_pylist()

    def online(self) -> dict[str, tuple[int, str | None]]:
        """Return what predictions see, by key."""
        answer = self.feast.get_online_features(self._service, [{"light": key} for key in KEYS]).to_dict()
        values = zip(answer["light"], answer["level"], answer["mood"], strict=True)
        return {key: (level, mood) for key, level, mood in values if level is not None}


@dataclass
class Progress:
    """How far a run is: which steps are left, and what the earlier ones said."""

    run: Run
    number: int
    url: str
    steps: list[str]
    death: Death | None
    accepted: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    states: dict[str, TaskStateStandIn] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        if self.run.own_times:
            return list(self.run.rows)
        return [row._replace(time=TIMES[self.number]) for row in self.run.rows]


class Player:
    """Plays the runs of a sequence, step by step, and compares with the model after each."""

    def __init__(self, house: House, *, with_git: bool) -> None:
        self.house, self.with_git, self.model = house, with_git, Model()
        self._known_online: dict[str, tuple[int, str | None]] = {}

    def begin(self, run: Run, number: int) -> Progress:
        url = self.house.source(run.rows, f"run-{number}", own_times=run.own_times)
        middle = ["version", "upload"] if self.with_git else ["publish"]
        steps = ["ingest", "validate", *middle, *(["materialize"] if run.loads else [])]
        if self.with_git:
            # Elsewhere the comparison with the model reads back more than this step would.
            steps += ["verify"] if run.loads else []
        return Progress(run, number, url, steps, run.death)

    def advance(self, progress: Progress) -> None:
        """Play the next step of a run; it ends the run if it is refused, skipped, or dies for good."""
        step = progress.steps[0]
        death = progress.death if progress.death and progress.death.step == step else None
        accepted = self.house.accepted_last()
        try:
            with dying(death):
                self._play(step, progress)
        except Killed:
            event(f"died: {death}")
            progress.death = None
            if self.house.accepted_last() != accepted:
                self._accept(progress)
            if not progress.run.retried:
                progress.steps.clear()
        except AirflowSkipException:
            event("nothing to materialize")
            progress.steps.clear()
        else:
            progress.steps[:1] = []
        self._compare(step)

    def _play(self, step: str, progress: Progress) -> None:
        if step == "publish":
            self.house.publish()
            return
        context = {
            "dag_run": SimpleNamespace(run_id=f"run {progress.number}", run_after=TIMES[progress.number]),
            "task_state_store": progress.states.setdefault(step, TaskStateStandIn()),
            "params": {},
        }
        try:
            progress.facts[step] = self._operator(step, progress).execute(context)
        except AirflowFailException as error:
            self._refuse(step, progress, str(error))
            return
        if step == "validate":
            self._accept(progress)

    def _refuse(self, step: str, progress: Progress, why: str) -> None:
        """Have the model refuse the file, too, unchanged; the run's other steps never come."""
        assert step == "validate", why
        assert "same key and event time" in why
        assert not self.model.accept(progress.rows), "refused, but the model takes it"
        event("refused")
        progress.steps[:] = [step]

    def _accept(self, progress: Progress) -> None:
        """Have the model accept the file, once for a run however often it is retried."""
        if not progress.accepted:
            assert self.model.accept(progress.rows), "accepted, but the model refuses it"
            progress.accepted = True

    def _operator(self, step: str, progress: Progress) -> Any:
        facts = progress.facts
        make: dict[str, Callable[[], Any]] = {
            "ingest": lambda: IngestOperator(task_id=step, dataset=LIGHTS, dataset_url=progress.url),
            "validate": lambda: ValidateOperator(task_id=step, dataset=LIGHTS, ingested=facts["ingest"]),
            "version": lambda: VersionWithDvcOperator(
                task_id=step, dataset=LIGHTS, repo_url=self.house.repository
            ),
            "upload": lambda: UploadToS3Operator(
                task_id=step, dataset=LIGHTS, repo_url=self.house.repository
            ),
            "materialize": lambda: MaterializeIncrementalOperator(
                task_id=step, dataset=LIGHTS, versioned=facts.get("version")
            ),
            "verify": lambda: VerifyOnlineOperator(
                task_id=step, dataset=LIGHTS, materialized=facts["materialize"]
            ),
        }
        return make[step]()

    def _compare(self, step: str) -> None:
        if step in ("validate", "publish", "upload"):
            # It may still have to be moved; what a dead run proposed beside it is nothing.
            last = f"{LIGHTS.acceptance_uri}proposed/{self.house.accepted_last()}"
            there = self.house.versions(last, LIGHTS.accepted_uri, LIGHTS.uri)
            assert by_key_and_time(there) == by_key_and_time(self.model.versions)
        if step in ("materialize", "verify"):
            online = self.house.online()
            published = values_of(latest(self.house.versions(LIGHTS.uri)))
            for key, value in online.items():
                assert value in (published[key], self._known_online.get(key)), f"{key} is wrong online"
            self._known_online = online

    def compare_all(self) -> None:
        """Compare the end of a sequence: everything accepted is history, and its latest online."""
        published = self.house.versions(LIGHTS.uri)
        assert by_key_and_time(published) == by_key_and_time(self.model.versions)
        assert self.house.online() == values_of(latest(self.model.versions))
        assert not list(self.house.objects.list(LIGHTS.accepted_uri))


@contextmanager
def dying(death: Death | None) -> Iterator[None]:
    """Have the block die at its chosen effect."""
    if death is None:
        yield
        return
    original = getattr(death.owner, death.name)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if death.after:
            original(*args, **kwargs)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(death.owner, death.name, deadly)
        yield


def by_key_and_time(versions: list[Row]) -> dict[tuple[str, datetime], list[tuple[int, str | None]]]:
    """Return what each key was at each time, corrections in their order."""
    found: dict[tuple[str, datetime], list[tuple[int, str | None]]] = {}
    for row in versions:
        found.setdefault((row.key, row.time), []).append(row.values)
    return found


def values_of(newest: dict[str, Row]) -> dict[str, tuple[int, str | None]]:
    return {key: row.values for key, row in newest.items()}


row_of_a_file = st.builds(
    Row,
    st.sampled_from(KEYS),
    st.sampled_from(TIMES[:3]),
    st.tuples(st.integers(0, 1), st.sampled_from([None, "warm"])),
)
files = st.lists(row_of_a_file, min_size=1, max_size=3).map(tuple)


@st.composite
def sequences(draw: st.DrawFn) -> tuple[list[Run], list[int], bool]:
    """Make two or three runs, the order in which their steps come, and whether git and DVC take part."""
    with_git = draw(st.integers(0, 11)) == 0
    fitting = [death for death in DEATHS if with_git or death.step not in ("version", "upload")]
    runs: list[Run] = []
    for _ in range(draw(st.integers(2, 3))):
        earlier = [st.sampled_from([run.rows for run in runs])] if runs else []
        death = draw(st.none() | st.sampled_from(fitting))
        rows = draw(st.one_of(files, files, *earlier))
        retried = death is not None and draw(st.booleans())
        loads = draw(st.integers(0, 5)) == 0 or (death is not None and death.step == "materialize")
        runs.append(Run(rows, draw(st.booleans()), death, retried, loads))
    return runs, draw(st.lists(st.integers(0, 2), min_size=1, max_size=12)), with_git


DIES_ONCE_ACCEPTED = next(death for death in DEATHS if death.name == "accept" and death.after)
# The second run publishes what the first one accepted, and corrects it, before the first is retried.
CORRECTED_BEFORE_THE_RETRY = (
    [
        Run((Row("hall", TIMES[0], (0, None)),), True, DIES_ONCE_ACCEPTED, True, True),
        Run((Row("hall", TIMES[0], (1, None)),), True, None, False, True),
    ],
    [0, 0, 1, 1, 1, 1, 1, 0],
    False,
)


def play(house: House, runs: list[Run], order: list[int], *, with_git: bool) -> None:
    """Play a sequence, then the steps of one run more, which must complete whatever was left."""
    house.clear(with_git=with_git)
    player = Player(house, with_git=with_git)
    progresses = [player.begin(run, number) for number, run in enumerate(runs)]
    turn = 0
    while active := [progress for progress in progresses if progress.steps]:
        player.advance(active[order[turn % len(order)] % len(active)])
        turn += 1
    last = player.begin(Run((Row("hall", TIMES[0], (0, None)),), True, None, False, True), len(runs))
    # Its own file is of no matter, as any run completes what others left.
    del last.steps[:2]
    while last.steps:
        player.advance(last)
    player.compare_all()


@pytest.fixture
def house(
    servers: Servers,
    storage: Settings,
    airflow_connections: None,
    registry_url: str,
    online_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    (tmp_path / "feature_store.yaml").write_text(CONFIGURATION)
    variables = {
        **servers.object_store.environment(),
        "FEAST_REGISTRY_URL": registry_url,
        "FEAST_ONLINE_STORE": online_store,
        "FEATURE_OPS_FEATURE_REPO": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    made = House(servers, registry_url, tmp_path)
    # Opened once and not by each step: that is most of the time of a step with two rows.
    monkeypatch.setattr(ObjectStore, "from_connection", lambda name: servers.object_store)
    monkeypatch.setattr(FeastHook, "store", lambda hook: made.feast)
    return made


@pytest.mark.timeout(FUZZ_EXAMPLES * 10 or 900)
def test_every_sequence_of_runs_leaves_what_the_model_says(house: House) -> None:
    @settings(
        max_examples=FUZZ_EXAMPLES or 30,
        derandomize=not FUZZ_EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @example(CORRECTED_BEFORE_THE_RETRY)
    @given(sequences())
    def check(sequence: tuple[list[Run], list[int], bool]) -> None:
        runs, order, with_git = sequence
        play(house, runs, order, with_git=with_git)

    check()

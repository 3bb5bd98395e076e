"""Each cell of the support matrix is what Feast and the steps do; the documentation shows the table."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.unsupported import TrainedService, unsupported
from feature_ops.feast.diff.verdict import Verdict
from feature_ops.feast.support_matrix import (
    SUPPORT,
    Applied,
    Classified,
    Loaded,
    Served,
    Support,
    Trained,
    Verified,
    as_markdown,
)
from tests.conftest import PROJECT
from tests.integration.feast.diff.kinds_of_objects import ACCEPTED, BASE, REFUSED, REFUSED_DATA, REPOSITORY

SONGS = Dataset(
    name="songs",
    keys=("song_id",),
    columns=(
        Column(name="song_id", type=ColumnType.STRING),
        Column(name="artist_id", type=ColumnType.STRING),
        Column(name="energy", type=ColumnType.DOUBLE),
        Column(name="place", type=ColumnType.LIST, of=ColumnType.FLOAT),
    ),
)
NOW = datetime.now(UTC).replace(microsecond=0)
SEEN = NOW - timedelta(days=1)
ENERGY = {"a": 0.5, "b": 0.25}
STEPS = [field.name for field in fields(Support) if field.name != "object"]
CELLS = [(row, step) for row in SUPPORT for step in STEPS]
CONFIGURATION = """\
project: kinds
provider: local
registry:
  registry_type: sql
  path: sqlite:///{folder}/registry.db
offline_store:
  type: feature_ops.feast.offline.ArrowOfflineStore
online_store:
  type: sqlite
  path: {folder}/online.db
batch_engine:
  type: feature_ops.feast.engine.ArrowEngine
entity_key_serialization_version: 3
"""


@dataclass
class Place:
    """A feature store in a folder; definitions are applied and a history is loaded as by the DAGs."""

    folder: Path
    definitions: Definitions
    loaded: set[str] = field(default_factory=set)

    @property
    def history(self) -> Any:
        from feature_ops.feast.history import History

        return History.from_folder(SONGS, self.folder / "songs")

    @cached_property
    def store(self) -> Any:
        """The store that tests share which do not change it."""
        return self.open()

    @cached_property
    def compared(self) -> set[str]:
        """The views that are compared with the history."""
        from feature_ops.feast.served import served_views

        return {view.name for view in served_views(self.store, SONGS, str(self.folder / "songs"))}

    @cached_property
    def unchecked(self) -> list[str]:
        unchecked: list[str] = self.verifier.unchecked()
        return unchecked

    def open(self) -> Any:
        from feast import FeatureStore

        return FeatureStore(repo_path=str(self.folder))

    def prepare(self) -> None:
        (self.folder / "feature_store.yaml").write_text(CONFIGURATION.format(folder=self.folder))
        rows = [
            {"song_id": key, "artist_id": "x", "energy": energy, "place": [1.0, 2.0]}
            for key, energy in ENERGY.items()
        ]
        # The newest row is that of a, which a view without entities has.
        times = [{"event_timestamp": SEEN - timedelta(minutes=at), "ingested_at": SEEN} for at in range(2)]
        whole = [{**row, **time} for row, time in zip(rows, times, strict=True)]
        for name in ("songs", "elsewhere"):
            (self.folder / name).mkdir()
            table = pa.Table.from_pylist(whole, SONGS.arrow_schema())
            pq.write_table(table, self.folder / name / "0.parquet", store_schema=False)

    def apply_and_load(self) -> None:
        from feature_ops.feast.apply_process import _apply_all
        from feature_ops.feast.backfill_progress import BackfillProgress
        from feature_ops.feast.ledger import Ledger
        from feature_ops.feast.materialize import Materializer

        store, database = self.open(), f"sqlite:///{self.folder}/registry.db"
        _apply_all(store, self.definitions)
        arguments = (Ledger(database), BackfillProgress(database), self.history, str(self.folder / "songs"))
        materializer = Materializer(store, *arguments, "run")
        done = materializer.load()
        materializer.record(done)
        self.loaded = set(done.views)
        self.verifier = materializer_verifier(self, arguments)
        assert self.verifier.verify(done.file_names, 10)[0] > 0


def materializer_verifier(place: Place, arguments: tuple[Any, ...]) -> Any:
    from feature_ops.feast.verify import Verifier

    ledger, _, history, path = arguments
    return Verifier(place.open(), ledger, history, path)


@pytest.fixture(scope="module")
def place(parse: Any, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The repository of all that is accepted, applied and loaded."""
    folder = tmp_path_factory.mktemp("kinds")
    code = REPOSITORY.replace("HISTORY", str(folder / "songs")).replace(
        "ELSEWHERE", str(folder / "elsewhere")
    )
    made = Place(folder, parse(code)[1])
    assert made.definitions.incomplete == ()
    made.prepare()
    made.apply_and_load()
    return made


@pytest.fixture(scope="module")
def base(parse: Any) -> Definitions:
    """What the code for each refused object begins with."""
    definitions: Definitions = parse(BASE)[1]
    return definitions


def test_the_documentation_shows_the_matrix() -> None:
    assert as_markdown() in (PROJECT / "docs" / "feast-objects.md").read_text()


def test_each_row_has_its_objects() -> None:
    refused = {row for row, support in SUPPORT.items() if support.classification is Classified.REFUSED}
    assert {*REFUSED, *REFUSED_DATA} == refused
    assert set(ACCEPTED) == set(SUPPORT) - refused


# Which row tells about an argument of a constructor; "" where it says nothing about values.
ARGUMENTS: dict[str, dict[str, str]] = {
    "FeatureView": {
        "name": "plain",
        "source": "plain push kafka derived no_source elsewhere",
        "sink_source": "derived",
        "schema": "plain vector",
        "entities": "plain composite no_entity",
        "ttl": "ttl",
        "online": "offline_only",
        "offline": "offline_write",
        "mode": "transformed",
        "enable_validation": "validated",
        "version": "pinned_view",
        "enabled": "disabled disabled_read",
        **dict.fromkeys(("description", "tags", "owner", "org"), ""),
    },
    "BatchFeatureView": {
        "udf": "batch transformed",
        "udf_string": "transformed",
        "feature_transformation": "transformed",
        "aggregations": "aggregated",
        # Feast's registry does not keep it; values are the same on each engine.
        "batch_engine": "",
    },
    "StreamFeatureView": {
        "aggregations": "stream_computed",
        "timestamp_field": "stream",
        "udf": "stream_computed",
        "udf_string": "stream_computed",
        "feature_transformation": "stream_computed",
        "stream_engine": "",
        "enable_tiling": "stream_computed",
        "tiling_hop_size": "stream_computed",
    },
    "OnDemandFeatureView": {
        "sources": "on_demand on_demand_request on_demand_renamed on_demand_pinned",
        "input_schema": "on_demand_request",
        "singleton": "on_demand_singleton",
        "write_to_online_store": "on_demand_write",
        "aggregations": "on_demand_aggregated",
        "entities": "on_demand on_demand_entities",
        "mode": "on_demand on_demand_python on_demand_substrait",
        **dict.fromkeys(("udf", "udf_string", "feature_transformation"), "on_demand"),
        "track_metrics": "",
    },
    "LabelView": dict.fromkeys(("labeler_field", "conflict_policy", "reference_feature_view"), "labels"),
    "FeatureService": {
        "features": "service renamed collision repeated ambiguous pinned_service",
        "logging_config": "logged",
        "precompute_online": "precomputed",
    },
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_every_argument_of_feasts_objects_is_decided_upon(kind: str) -> None:
    import feast

    known = {**ARGUMENTS["FeatureView"], **ARGUMENTS[kind]}
    arguments = set(inspect.signature(getattr(feast, kind).__init__).parameters) - {"self"}
    assert arguments <= set(known), "Feast has a new one: decide upon it"
    named = {row for rows in ARGUMENTS[kind].values() for row in rows.split()}
    assert named <= set(SUPPORT)


@pytest.mark.parametrize(("row", "step"), CELLS, ids=lambda value: value)
def test_a_cell_is_what_the_step_does(
    row: str, step: str, place: Place, base: Definitions, parse: Any
) -> None:
    cell = getattr(SUPPORT[row], step)
    if SUPPORT[row].classification is not Classified.REFUSED:
        CHECKS[step](row, cell, place)
    elif step == "classification":
        _check_refused(row, base, parse)
    else:
        assert cell == "–", "what is refused reaches no later step"


def _check_refused(row: str, base: Definitions, parse: Any) -> None:
    if row in REFUSED_DATA:
        objects, reason = REFUSED_DATA[row]
        (told,) = unsupported(Definitions("kinds", objects))
        assert told.startswith(reason)
        return
    code, reason = REFUSED[row]
    diff = compare(base, parse(BASE + code)[1])
    assert diff.verdict > Verdict.NONE, "an operator refuses only what changes something"
    assert any(re.search(reason, told) for told in diff.obstacles), diff.obstacles
    assert unsupported(base) == []


def _check_classification(row: str, cell: Classified, place: Place) -> None:
    assert unsupported(place.definitions) == []
    sources = (str(place.folder / "songs"),)
    model = TrainedService(f"{row}_fs", ("song_id", "artist_id"), sources)
    of_model = unsupported(place.definitions, model)
    assert bool(of_model) == (cell is Classified.NOT_TRAINED), of_model


def _check_apply(row: str, cell: Applied, place: Place) -> None:
    assert cell is Applied.REGISTERED
    store = place.store
    assert store.registry.get_any_feature_view(row, store.project).name == row


def _check_load(row: str, cell: Loaded, place: Place) -> None:
    from feature_ops.feast.arrow_loading import arrow_engine_for

    store = place.store
    assert (row in place.loaded) == (cell in (Loaded.ARROW, Loaded.FEAST))
    if cell is Loaded.INPUTS:
        assert "inputs" in place.loaded
    elif row in place.loaded:
        view = store.registry.get_any_feature_view(row, store.project)
        assert (arrow_engine_for(store, view, place.history) is not None) == (cell is Loaded.ARROW)


def _keys(row: str) -> dict[str, list[Any]]:
    """Columns that a caller gives for both songs."""
    if row == "renamed":
        return {"seed_id": ["a", "b"]}
    more: dict[str, dict[str, list[Any]]] = {
        "composite": {"artist_id": ["x", "x"]},
        "on_demand_request": {"factor": [2.0, 2.0]},
    }
    return {"song_id": ["a", "b"], **more.get(row, {})}


def _expected(row: str) -> tuple[str, list[float]]:
    """Name and values of the feature that is read."""
    if row.startswith("on_demand"):
        return f"{row}__double", [2 * value for value in ENERGY.values()]
    if row == "no_entity":
        return f"{row}__energy", [ENERGY["a"]] * 2
    return f"{'seed' if row == 'renamed' else row}__energy", list(ENERGY.values())


def _asked(store: Any, row: str) -> Any:
    return ["disabled:energy"] if row == "disabled" else store.get_feature_service(f"{row}_fs")


def _trained(store: Any, row: str, when: datetime = NOW) -> list[float | None]:
    labels = pd.DataFrame({**_keys(row), "event_timestamp": [when] * 2})
    found = store.get_historical_features(labels, _asked(store, row), full_feature_names=True).to_df()
    key = next(iter(_keys(row)))
    return _plain(found.sort_values(key)[_expected(row)[0]])


def _plain(values: Any) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in values]


def _check_training(row: str, cell: Trained, place: Place) -> None:
    store = place.store
    if cell is Trained.FAILS:
        with pytest.raises(Exception, match=r"disabled|batch_source|^$|NoneType"):
            _trained(store, row)
        return
    if cell is Trained.UNEXPIRED:
        assert _trained(store, row) == [None, None]
        assert _trained(store, row, SEEN + timedelta(minutes=30)) == _expected(row)[1]
        return
    assert _trained(store, row) == _expected(row)[1]


def _check_verification(row: str, cell: Verified, place: Place) -> None:
    alias = "seed" if row == "renamed" else row
    unchecked = [feature for feature in place.unchecked if feature.startswith(f"{alias}:")]
    assert (row in place.compared) == (cell is Verified.COMPARED)
    assert bool(unchecked) == (cell in (Verified.INPUTS, Verified.UNCHECKED)), unchecked
    if cell is Verified.INPUTS:
        assert "inputs" in place.compared


@contextmanager
def _left_to_feast() -> Iterator[list[str]]:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("feature_ops.feast.reader.online_reader"), Kept()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _check_serving(row: str, cell: Served, place: Place) -> None:
    from feature_ops.feast.reader import OnlineReader

    store = place.store
    if cell in (Served.FAILS, Served.NOT_ONLINE):
        # What a store does without the rows of a view is its own: that of SQLite has no table.
        with pytest.raises(Exception, match=r"is disabled|no such table"):
            OnlineReader.of(store, _asked(store, row), full_feature_names=True).read(_keys(row))
        return
    name, values = _expected(row)
    with _left_to_feast() as lines:
        found = OnlineReader.of(store, _asked(store, row), full_feature_names=True).read(_keys(row)).to_dict()
    if cell is Served.SHORT_NAMES:
        assert name not in found
        name = name.partition("__")[2]
        found = OnlineReader.of(store, _asked(store, row)).read(_keys(row)).to_dict()
    assert _plain(found[name]) == ([None, None] if cell is Served.NULL else values)
    if cell is not Served.NULL:
        assert bool(lines) == (cell in (Served.FEAST, Served.SHORT_NAMES)), lines


CHECKS: dict[str, Any] = {
    "classification": _check_classification,
    "apply": _check_apply,
    "load": _check_load,
    "training": _check_training,
    "verification": _check_verification,
    "serving": _check_serving,
}


# That the reasons for a refusal are true.


@pytest.fixture
def refused(parse: Any, place: Place, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The store with what is refused applied as Feast itself does."""
    code = (BASE + REFUSED[request.param][0]).replace("HISTORY", str(place.folder / "songs"))
    contents = parse(code)[0]
    store = place.open()
    mine = {view.name: view for view in [*contents.feature_views, *contents.on_demand_feature_views]}
    mine.pop("inputs", None)
    store.apply([*mine.values(), *contents.feature_services])
    yield store
    store.registry.delete_feature_service("fs", store.project)
    for name in mine:
        store.registry.delete_feature_view(name, store.project)


def _fails(store: Any, names: Sequence[bool] = (False, True)) -> list[str]:
    """What Feast's own online read of the service raises, without and with full names."""
    told = []
    for full in names:
        with pytest.raises(Exception) as error:
            store.get_online_features(
                store.get_feature_service("fs"), {"song_id": ["a", "nobody"]}, full_feature_names=full
            )
        told.append(f"{type(error.value).__name__}: {error.value}")
    return told


@pytest.mark.parametrize(
    "refused", ["disabled_read", "on_demand_renamed", "repeated", "precomputed"], indirect=True
)
def test_what_is_refused_since_reads_fail_does_fail_in_feast(refused: Any) -> None:
    assert all(_fails(refused))


@pytest.mark.parametrize("refused", ["precomputed"], indirect=True)
def test_the_reader_needs_no_vectors_of_a_precomputed_service(refused: Any) -> None:
    from feature_ops.feast.reader import OnlineReader

    reader = OnlineReader.of(refused, refused.get_feature_service("fs"))
    assert reader.read({"song_id": ["a", "nobody"]}).to_dict()["energy"] == [ENERGY["a"], None]


@pytest.mark.parametrize("refused", ["on_demand_write"], indirect=True)
def test_what_is_refused_since_it_is_not_loaded_is_null_in_feast(refused: Any) -> None:
    answer = refused.get_online_features(refused.get_feature_service("fs"), {"song_id": ["a"]}).to_dict()
    assert answer["double"] == [None]


@pytest.mark.parametrize("refused", ["ambiguous"], indirect=True)
def test_of_two_join_keys_under_one_name_feast_uses_one(refused: Any) -> None:
    rows = pd.DataFrame({"song_id": ["a", "b"], "energy": [0.5, 0.25], "tempo": [100.0, 50.0]})
    refused.write_to_online_store("wide", rows.assign(event_timestamp=NOW, ingested_at=NOW))
    keys = {"song_id": ["a"], "seed_id": ["b"]}
    answer = refused.get_online_features(refused.get_feature_service("fs"), keys).to_dict()
    assert (answer["energy"], answer["tempo"]) != ([0.5], [50.0])


@pytest.mark.parametrize("refused", ["on_demand_singleton"], indirect=True)
def test_a_singleton_is_not_computed_in_training_sets_as_online(refused: Any) -> None:
    labels = pd.DataFrame({"song_id": ["a", "b"], "event_timestamp": [NOW] * 2})
    service = refused.get_feature_service("fs")
    try:
        trained = list(refused.get_historical_features(labels, service).to_df()["double"])
    except Exception as error:
        trained = [error]
    assert trained != [2 * value for value in ENERGY.values()]

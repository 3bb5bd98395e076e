"""Every type of a column reaches the online store in both ways of loading, and is read back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import (
    Array,
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Map,
    String,
    Struct,
    UnixTimestamp,
)

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.backfill_progress import BackfillProgress
from feature_ops.feast.history import History
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.materialize import Materialization, Materializer
from feature_ops.feast.verify import Verifier

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = NOON.replace(microsecond=0)
TENTH = 0.10000000149011612
LISTS = ColumnType.LIST

# Column, feature, value in the history, value online.
TYPES: list[tuple[Column, FeastType, Any, Any]] = [
    (Column(name="i32", type=ColumnType.INT32), Int32, -(2**31), -(2**31)),
    # Beside a null, Feast takes whole numbers through floating ones: larger ones lose their last digits.
    (Column(name="i64", type=ColumnType.INT64), Int64, 2**53, 2**53),
    (Column(name="f32", type=ColumnType.FLOAT), Float32, 0.5, 0.5),
    (Column(name="f64", type=ColumnType.DOUBLE), Float64, 0.1, 0.1),
    (Column(name="flag", type=ColumnType.BOOL), Bool, True, True),
    (Column(name="text", type=ColumnType.STRING), String, "ü", "ü"),
    (Column(name="moment", type=ColumnType.TIMESTAMP), UnixTimestamp, NOON, SECOND),
    (Column(name="raw", type=ColumnType.BYTES), Bytes, b"\x00\xff", b"\x00\xff"),
    (Column(name="texts", type=LISTS, of=ColumnType.STRING), Array(String), ["a", "b"], ["a", "b"]),
    (Column(name="i32s", type=LISTS, of=ColumnType.INT32), Array(Int32), [1, 2], [1, 2]),
    (Column(name="i64s", type=LISTS, of=ColumnType.INT64), Array(Int64), [2**62 + 1], [2**62 + 1]),
    (Column(name="f32s", type=LISTS, of=ColumnType.FLOAT), Array(Float32), [0.5, 0.25], [0.5, 0.25]),
    (Column(name="rounded", type=LISTS, of=ColumnType.DOUBLE), Array(Float32), [0.1], [TENTH]),
    (Column(name="f64s", type=LISTS, of=ColumnType.DOUBLE), Array(Float64), [0.1], [0.1]),
    (Column(name="flags", type=LISTS, of=ColumnType.BOOL), Array(Bool), [True, False], [True, False]),
    (Column(name="moments", type=LISTS, of=ColumnType.TIMESTAMP), Array(UnixTimestamp), [NOON], [SECOND]),
    (Column(name="raws", type=LISTS, of=ColumnType.BYTES), Array(Bytes), [b"a"], [b"a"]),
    (Column(name="none", type=LISTS, of=ColumnType.STRING), Array(String), [], []),
    (
        Column(
            name="profile",
            type=ColumnType.STRUCT,
            fields={"name": ColumnType.STRING, "age": ColumnType.INT64, "rate": ColumnType.FLOAT},
        ),
        Struct({"name": String, "age": Int64, "rate": Float32}),
        {"name": "Ada", "age": 36, "rate": 0.5},
        {"name": "Ada", "age": 36, "rate": 0.5},
    ),
    (
        Column(name="labels", type=ColumnType.STRUCT, fields={"a": ColumnType.STRING, "b": ColumnType.BOOL}),
        Map,
        {"a": "x", "b": None},
        {"a": "x", "b": None},
    ),
    (Column(name="config", type=ColumnType.JSON), Json, '{"a": [1]}', {"a": [1]}),
    (Column(name="metadata", type=ColumnType.MAP), Map, '{"a":null,"b":"2"}', {"a": None, "b": "2"}),
]
ROWS = Dataset(
    name="rows",
    keys=("id",),
    columns=(
        Column(name="id", type=ColumnType.INT32),
        *(column.model_copy(update={"nullable": True}) for column, *_ in TYPES),
    ),
)
ONLINE = {column.name: online for column, _, _, online in TYPES}
NULL = dict.fromkeys(ONLINE)


class Place:
    """A feature store in a folder, with every type in one view."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, f"sqlite:///{folder}/registry.db"
        self.history_folder = folder / "rows"
        self.history_folder.mkdir()
        (folder / "feature_store.yaml").write_text(
            f"project: types\nprovider: local\n"
            f"registry:\n  registry_type: sql\n  path: {self.database}\n"
            f"offline_store:\n  type: file\n"
            f"online_store:\n  type: sqlite\n  path: {folder}/online.db\n"
            f"entity_key_serialization_version: 3\n"
        )
        self.store = FeatureStore(repo_path=str(folder))
        entity = Entity(name="one", join_keys=["id"], value_type=ValueType.INT32)
        view = FeatureView(
            name="rows",
            entities=[entity],
            schema=[
                Field(name="id", dtype=Int32),
                *(Field(name=column.name, dtype=feature) for column, feature, *_ in TYPES),
            ],
            source=FileSource(
                name="rows",
                path=str(self.history_folder),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="ingested_at",
            ),
            enable_validation=True,
        )
        self.store.apply([entity, view, FeatureService(name="rows", features=[view])])

    def write(self, *rows: dict[str, Any]) -> None:
        times = {"event_timestamp": NOON, "ingested_at": NOON}
        table = pa.Table.from_pylist([{**NULL, **row, **times} for row in rows], ROWS.arrow_schema())
        name = f"{len(list(self.history_folder.iterdir()))}.parquet"
        pq.write_table(table, self.history_folder / name, store_schema=False)

    @property
    def history(self) -> History:
        return History.from_folder(ROWS, self.history_folder)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.database)

    def load(self) -> Materialization:
        progress = BackfillProgress(self.database)
        place = str(self.history_folder)
        materializer = Materializer(self.store, self.ledger, progress, self.history, place, "run")
        done = materializer.load()
        materializer.record(done)
        return done

    def verify(self, done: Materialization) -> tuple[int, int]:
        verifier = Verifier(self.store, self.ledger, self.history, str(self.history_folder))
        return verifier.verify(done.file_names, 10)

    def online(self, key: int) -> dict[str, Any]:
        features = [f"rows:{name}" for name in ONLINE]
        answer = self.store.get_online_features(features, [{"id": key}]).to_dict()
        return {name: answer[name][0] for name in ONLINE}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_both_ways_of_loading_bring_every_type_online_and_both_are_verified(place: Place) -> None:
    values = {column.name: value for column, _, value, _ in TYPES}
    place.write({"id": 1, **values}, {"id": 2})
    whole = place.load()
    place.write({"id": 3, **values}, {"id": 4})
    more = place.load()

    assert place.online(1) == ONLINE, "the whole history"
    assert place.online(3) == ONLINE, "what came later"
    assert place.online(2) == place.online(4) == NULL
    assert place.verify(whole) == place.verify(more) == (2, len(TYPES))


def test_a_difference_within_a_value_is_found(place: Place) -> None:
    place.write({"id": 1, "config": '{"a": [1]}', "texts": ["a"]})
    done = place.load()
    file = place.history_folder / "0.parquet"
    table = pq.read_table(file)
    changed = table.set_column(
        table.schema.get_field_index("config"), "config", pa.array(['{"a": [2]}'], pa.string())
    )
    pq.write_table(changed, file, store_schema=False)
    with pytest.raises(FeatureOpsError, match=r"config of 1 is \{'a': \[1\]\} online, but \{'a': \[2\]\}"):
        place.verify(done)

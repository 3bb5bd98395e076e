"""Views of all kinds of keys and features in one store, and what Feast and the reader make of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.types import Bytes, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from feature_ops.feast.reader import Answer, OnlineReader
from tests.integration.feast.engine.any_rows import AFTER_1970, FEATURES, TIMES
from tests.integration.feast.engine.stores import Held
from tests.integration.feast.engine.tracks import feature_store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Each join key: its types in Feast and Arrow, and values of which some are asked for in vain.
KEYS: dict[str, tuple[Any, ValueType, pa.DataType, list[Any]]] = {
    "song": (String, ValueType.STRING, pa.string(), ["🎵", "", "a", "é" * 99]),
    "part": (Int64, ValueType.INT64, pa.int64(), [-2, 0, 2**40]),
    "track": (Int32, ValueType.INT32, pa.int32(), [-1, 0, 2**31 - 1]),
    "mark": (Bytes, ValueType.BYTES, pa.binary(), [b"\0", b"\xff", b"a\r\nb"]),
    "moment_of": (UnixTimestamp, ValueType.UNIX_TIMESTAMP, TIMES, [EPOCH, EPOCH + timedelta(seconds=10**9)]),
}
# Views by name: their join keys and their ttl.
VIEWS: dict[str, tuple[list[str], timedelta]] = {
    "facts": (["song"], timedelta(0)),
    "stats": (["song"], timedelta(seconds=1)),
    "parts": (["song", "part"], timedelta(days=3650)),
    "tracks": (["track", "mark"], timedelta(0)),
    "moments": (["moment_of"], timedelta(0)),
    "world": ([], timedelta(seconds=1)),
}


def feature(view: str, kind: str) -> str:
    """Features of two views may not have one name, unless full names are asked for."""
    return f"{view}_{kind}"


def view_of(name: str, kinds: Sequence[str] = tuple(FEATURES)) -> FeatureView:
    keys, ttl = VIEWS[name]
    return FeatureView(
        name=name,
        entities=[Entity(name=f"{key}_entity", join_keys=[key], value_type=KEYS[key][1]) for key in keys],
        schema=[
            *(Field(name=key, dtype=KEYS[key][0]) for key in keys),
            *(Field(name=feature(name, kind), dtype=FEATURES[kind][0]) for kind in kinds),
        ],
        ttl=ttl,
        source=FileSource(
            name=f"{name}_source",
            path="unused.parquet",
            timestamp_field="happened",
            created_timestamp_column="noted",
        ),
    )


@st.composite
def rows_of(draw: st.DrawFn, name: str, kinds: Sequence[str]) -> pa.RecordBatch:
    keys, _ = VIEWS[name]
    found = draw(
        st.lists(st.tuples(*(st.sampled_from(KEYS[key][3]) for key in keys)), max_size=3, unique=True)
        if keys
        else st.sampled_from([[()], []])
    )
    count = len(found)

    def column(kind: pa.DataType, values: st.SearchStrategy[Any]) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=count, max_size=count)), kind)

    columns = {key: pa.array([row[place] for row in found], KEYS[key][2]) for place, key in enumerate(keys)}
    if not keys:
        columns["__dummy_id"] = pa.array([""] * count, pa.string())
    for kind in kinds:
        columns[feature(name, kind)] = column(FEATURES[kind][1], st.none() | FEATURES[kind][2])
    columns["happened"] = column(TIMES, AFTER_1970)
    columns["noted"] = column(TIMES, AFTER_1970)
    return pa.record_batch(columns)


@dataclass
class Library:
    """A feature store with all of the views."""

    held: Held
    store: FeatureStore
    views: dict[str, FeatureView]

    def clear(self) -> None:
        for view in self.views.values():
            self.held.clear(view)

    def fill(self, draw: Any, name: str) -> None:
        """Write rows with Feast's own writer, and perhaps some features of them again at another time."""
        for kinds in (list(FEATURES), draw(st.lists(st.sampled_from(sorted(FEATURES)), unique=True))):
            rows = draw(rows_of(name, kinds))
            if rows.num_rows and kinds:
                view = view_of(name, kinds)
                view.entity_columns = self.views[name].entity_columns
                self.held.write_as_feast(view, rows)


def library(folder: Path, held: Held, services: Sequence[FeatureService] = ()) -> Library:
    store = feature_store(folder, held, {"type": "local"})
    views = {name: view_of(name) for name in VIEWS}
    entities = [
        Entity(name=f"{key}_entity", join_keys=[key], value_type=kind)
        for key, (_, kind, _, _) in KEYS.items()
    ]
    store.apply([*entities, *views.values(), *services])
    return Library(held, store, {name: store.get_feature_view(name) for name in VIEWS} | views)


def asked(store: FeatureStore, features: Any, keys: Mapping[str, Sequence[Any]], full: bool) -> Any:
    """What Feast answers, in a form in which NaN equals itself and 1 is neither 1.0 nor True."""
    response = store.get_online_features(features, dict(keys), full_feature_names=full)
    values = response.to_dict()
    columns = {
        name: (
            [repr(value) for value in values[name]],
            list(vector.statuses),
            [
                None if time == Timestamp() else time.ToDatetime(tzinfo=UTC)
                for time in vector.event_timestamps
            ],
        )
        for name, vector in zip(
            response.proto.metadata.feature_names.val, response.proto.results, strict=True
        )
    }
    return columns, _shown(values), _shown(response.to_dict(include_event_timestamps=True))


def told(answer: Answer) -> Any:
    """What the reader answers, in the same form."""
    columns = {
        name: ([repr(value) for value in column.values], column.statuses, column.event_timestamps)
        for name, column in answer.columns.items()
    }
    return columns, _shown(answer.to_dict()), _shown(answer.to_dict(include_event_timestamps=True))


def read(store: FeatureStore, features: Any, keys: Mapping[str, Sequence[Any]], full: bool) -> Any:
    return told(OnlineReader.of(store, features, full).read(keys))


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def left_to_feast() -> Iterator[list[str]]:
    """The lines that say that Feast itself has to read, and why."""
    logger, handler = logging.getLogger("feature_ops.feast.reader.online_reader"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _shown(values: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    return {name: [repr(value) for value in column] for name, column in values.items()}

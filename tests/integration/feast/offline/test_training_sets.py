"""What a person can ask the offline store for, through Feast."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.data_format import DeltaFormat
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Int64, String
from feast.value_type import ValueType
from pandas.testing import assert_frame_equal

from tests.integration.feast.offline.concerts import (
    NOON,
    OURS,
    SCHEMA,
    feature_store,
    labels,
    row,
    write,
)

StoreOf = Callable[[str], FeatureStore]
HISTORY = [
    row("a", 0, part=1, plays=1, loud=0.5, live=True, title="x", noted=NOON),
    row("a", 2, part=1, plays=2, loud=1.5, live=False, title="y", noted=NOON + timedelta(hours=9)),
    row("b", 1, part=2, plays=3, loud=-3.0, live=True, title="z", noted=NOON),
]


@pytest.fixture(autouse=True)
def history(place: Path) -> None:
    """Three rows of two songs."""
    write(place / "history.parquet", HISTORY)


def both(store_of: StoreOf, frame: pd.DataFrame, features: Any, **options: Any) -> list[pd.DataFrame]:
    """Ask the ``file`` store and ours; returns data frames in one order."""
    frames = []
    for kind in ("file", OURS):
        store = store_of(kind)
        asked = store.get_feature_service(features) if isinstance(features, str) else features
        found = store.get_historical_features(frame.copy(), asked, **options).to_df()
        frames.append(found.sort_values("label", ignore_index=True))
    return frames


@pytest.mark.parametrize("full_names", [False, True])
def test_frames_are_those_of_stock_feast_to_the_types(store_of: StoreOf, full_names: bool) -> None:
    frame = labels(("a", 1), ("a", 3), ("b", 2))
    refs = [f"songs:{name}" for name in ("title", "plays", "loudness", "live", "tags", "added")]

    stock, ours = both(store_of, frame, refs, full_feature_names=full_names)

    assert_frame_equal(ours, stock)
    assert ours["songs__plays" if full_names else "plays"].tolist() == [1, 2, 3]


def test_a_view_may_be_asked_for_twice_under_another_key(store_of: StoreOf) -> None:
    frame = labels(("a", "b", 1), ("a", "a", 3), columns=["song", "original"])

    stock, ours = both(store_of, frame, "covers", full_feature_names=True)

    assert_frame_equal(ours, stock)
    assert ours["heard__plays"].tolist() == [1, 2]
    assert ours["covered__title"].tolist() == ["z", "y"]


def test_features_on_demand_are_computed(store_of: StoreOf) -> None:
    frame = labels(("a", 1), ("b", 2)).assign(gain=10.0)

    stock, ours = both(store_of, frame, ["songs:plays", "louder:louder"])

    assert_frame_equal(ours, stock)
    assert ours["louder"].tolist() == [10.5, 7.0]


def test_a_view_without_entities_gives_every_label_its_latest_row(store_of: StoreOf) -> None:
    frame = labels(("a", 0.5), ("any", 1.5), ("b", 9))

    stock, ours = both(store_of, frame, ["everywhere:plays", "everywhere:title"])

    assert_frame_equal(ours, stock)
    assert ours["plays"].tolist() == [1, 3, 2]


def test_only_what_was_created_by_then_counts_if_asked(store_of: StoreOf) -> None:
    stock, ours = both(
        store_of, labels(("a", 3), ("a", 9)), ["songs:plays"], filter_by_created_timestamp=True
    )

    # Stock Feast makes floats of integers to hide rows.
    assert_frame_equal(ours, stock, check_dtype=False)
    assert ours["plays"].tolist() == [1, 2]


def test_a_label_may_have_a_column_that_is_called_like_a_feature(store_of: StoreOf) -> None:
    stock, ours = both(store_of, labels(("a", 1)).assign(plays="of its own"), ["songs:plays"])

    assert_frame_equal(ours, stock)
    assert ours[["plays", "plays__"]].to_numpy().tolist() == [["of its own", 1]]


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_columns_of_labels_keep_their_types(store_of: StoreOf, dtype: str) -> None:
    frame = labels(("a", 1), ("b", 2)).astype({"song": dtype}).assign(weight=pd.array([1, None], "Int64"))

    _, ours = both(store_of, frame, ["songs:plays"])

    assert ours["plays"].tolist() == [1, 3]
    assert_frame_equal(ours[["song", "weight"]], frame[["song", "weight"]])


def test_integers_that_pandas_made_floats_are_keys(store_of: StoreOf) -> None:
    frame = labels(("a", 1.0, 1), ("b", None, 2), ("b", 2.0, 2), columns=["song", "part"])

    found = store_of(OURS).get_historical_features(frame, ["parts:title"]).to_df()

    assert found["title"].tolist() == ["x", None, "z"]


def test_no_labels_give_no_rows_with_the_columns(store_of: StoreOf) -> None:
    found = store_of(OURS).get_historical_features(labels(("a", 1)).head(0), ["songs:plays"]).to_arrow()

    assert found.num_rows == 0
    assert found.schema.field("plays").type == pa.int64()


def test_the_only_column_of_times_is_the_labels_time(store_of: StoreOf) -> None:
    frame = labels(("a", 1)).rename(columns={"event_timestamp": "heard"})

    stock, ours = both(store_of, frame, ["songs:plays"])

    assert_frame_equal(ours, stock)
    for kind in ("file", OURS):
        with pytest.raises(ValueError, match="event_timestamp"):
            store_of(kind).get_historical_features(frame.assign(seen=frame["heard"]), ["songs:plays"])


def test_the_labels_are_left_as_they_are(store_of: StoreOf) -> None:
    frame = labels(("a", 1), ("b", 2)).set_axis([7, 7]).assign(event_timestamp="2026-01-02 01:00")
    before = frame.copy()

    found = store_of(OURS).get_historical_features(frame, ["songs:plays"]).to_df()

    assert_frame_equal(frame, before)
    assert found.index.tolist() == [0, 1]


def test_a_folder_of_files_is_one_history(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    for number, one in enumerate(HISTORY):
        write(folder / f"{number}.parquet", [one])
    store = applied(tmp_path, str(folder))

    assert plays(store) == [2, 3]


def applied(folder: Path, path: str, **options: Any) -> FeatureStore:
    """Return a feature store of ours with one view, whose source is at the path."""
    store = feature_store(folder, OURS)
    view = FeatureView(
        name="songs",
        entities=[Entity(name="music", join_keys=["id"], value_type=ValueType.STRING)],
        schema=[
            Field(name="id", dtype=String),
            *(Field(name=name, dtype=Int64) for name in options.pop("features", ["plays"])),
        ],
        source=FileSource(path=path, timestamp_field="at", **options),
    )
    store.apply([Entity(name="music", join_keys=["id"], value_type=ValueType.STRING), view])
    return store


def plays(store: FeatureStore) -> list[Any]:
    frame = labels(("a", 4), ("b", 4), columns=["id"])
    found = store.get_historical_features(frame, ["songs:plays"]).to_df()
    return found.sort_values("label")["plays"].tolist()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "stock Feast" in record.getMessage()]


def test_a_pattern_of_names_is_left_to_stock_feast_and_told(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = applied(tmp_path, f"{place}/hist*.parquet")

    with caplog.at_level(logging.INFO, "feature_ops"):
        assert plays(store) == [2, 3]

    assert told(caplog) == [
        "the training set is made by stock Feast: songs: its source is a pattern of names"
    ]


def test_times_that_are_no_timestamps_are_left_to_stock_feast_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pa.Table.from_pylist(HISTORY, SCHEMA)
    texts = table.set_column(table.column_names.index("at"), "at", table["at"].cast(pa.string()))
    pq.write_table(texts, tmp_path / "texts.parquet")
    store = applied(tmp_path, str(tmp_path / "texts.parquet"))

    with caplog.at_level(logging.INFO, "feature_ops"), pytest.raises(AttributeError):
        plays(store)

    assert told(caplog) == ["the training set is made by stock Feast: songs: the column at is no timestamp"]


def test_another_format_is_left_to_stock_feast_and_told(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = applied(tmp_path, f"{place}/history.parquet", file_format=DeltaFormat())

    with caplog.at_level(logging.INFO, "feature_ops"):
        plays(store)

    assert told(caplog) == [
        "the training set is made by stock Feast: songs: its source has the format DeltaFormat"
    ]


def test_without_labels_stock_feast_lists_the_features(
    store_of: StoreOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "feature_ops"):
        found = [
            store_of(kind)
            .get_historical_features(
                features=["songs:plays"], start_date=NOON, end_date=NOON + timedelta(hours=5)
            )
            .to_df()
            for kind in ("file", OURS)
        ]

    assert_frame_equal(found[1], found[0])
    assert told(caplog) == ["the features are listed by stock Feast: there are no labels"]


@pytest.mark.parametrize(
    ("frame", "refs", "error"),
    [
        (labels((1, 1)), ["songs:plays"], ValueError),
        (labels((1, 1), columns=["other"]), ["songs:plays"], KeyError),
    ],
    ids=["another type of key", "no key"],
)
def test_labels_that_stock_feast_refuses_are_refused(
    store_of: StoreOf, frame: pd.DataFrame, refs: list[str], error: type[Exception]
) -> None:
    messages = []
    for kind in ("file", OURS):
        with pytest.raises(error) as refused:
            store_of(kind).get_historical_features(frame, refs).to_df()
        messages.append(str(refused.value))

    assert messages[0] == messages[1]


def test_a_history_that_is_not_there_or_lacks_a_column_is_refused_as_by_stock_feast(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    lacking = applied(tmp_path / "one", f"{place}/history.parquet", features=["plays", "skips"])
    missing = applied(tmp_path / "two", f"{place}/history.parquet")
    missing_view = missing.get_feature_view("songs")
    missing_view.batch_source.file_options.uri = f"{tmp_path}/nowhere.parquet"
    missing.registry.apply_feature_view(missing_view, missing.project)
    missing.refresh_registry()
    frame = labels(("a", 4), columns=["id"])

    with pytest.raises(KeyError, match="skips"):
        lacking.get_historical_features(frame, ["songs:skips"]).to_df()
    with pytest.raises(FileNotFoundError):
        missing.get_historical_features(frame, ["songs:plays"]).to_df()


def test_a_training_set_can_be_saved_and_found_again(store_of: StoreOf, tmp_path: Path) -> None:
    store = store_of(OURS)
    job = store.get_historical_features(labels(("a", 1), ("b", 2)), ["songs:plays"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))

    store.create_saved_dataset(job, f"saved_{tmp_path.name}", storage)

    assert pq.read_table(tmp_path / "saved.parquet")["plays"].to_pylist() == [1, 3]
    assert sorted(store.get_saved_dataset(f"saved_{tmp_path.name}").to_df()["plays"]) == [1, 3]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    assert not job.supports_remote_storage_export()
    assert set(job.metadata.keys) == {"song", "label"}
    assert job.metadata.max_event_timestamp == NOON + timedelta(hours=2)


def test_rows_are_written_to_the_offline_store_as_by_stock_feast(place: Path, tmp_path: Path) -> None:
    schema = pa.schema([SCHEMA.field(name) for name in ("id", "plays", "at")])
    pq.write_table(pa.Table.from_pylist(HISTORY, schema), tmp_path / "history.parquet")
    store = applied(tmp_path, str(tmp_path / "history.parquet"))
    more = pa.Table.from_pylist([row("b", 3, plays=9)], schema).to_pandas()

    store.write_to_offline_store("songs", more)

    assert plays(store) == [2, 9]

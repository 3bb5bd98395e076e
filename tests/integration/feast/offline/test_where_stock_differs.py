"""Where stock Feast's ``file`` store gives another answer, or none: what it does, and what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from tests.integration.feast.offline.concerts import NOON, OURS, labels, row, write

StoreOf = Callable[[str], FeatureStore]


@pytest.fixture
def asked(place: Path, store_of: StoreOf) -> Callable[..., dict[str, Any]]:
    """Write a history, ask the three stores about labels; returns values of ``plays`` by label, by store."""

    def ask(rows: list[dict[str, Any]], frame: pd.DataFrame, *refs: str) -> dict[str, Any]:
        write(place / "history.parquet", rows)
        found = {}
        for name, kind in (("file", "file"), ("duckdb", "duckdb"), ("ours", OURS)):
            table = store_of(kind).get_historical_features(frame.copy(), list(refs)).to_arrow()
            found[name] = dict(zip(table["label"].to_pylist(), table["plays"].to_pylist(), strict=True))
        return found

    return ask


def test_a_label_stays_if_its_song_has_rows_but_none_that_counts(asked: Callable[..., Any]) -> None:
    found = asked([row("a", 3, plays=1)], labels(("a", 2), ("b", 2), ("a", 4), ("a", 6)), "fresh:plays")

    assert found["file"] == {1: None, 2: 1}
    assert found["ours"] == found["duckdb"] == {0: None, 1: None, 2: 1, 3: None}


def test_labels_with_one_key_and_time_all_stay(asked: Callable[..., Any]) -> None:
    found = asked([row("a", 0, plays=1)], labels(("a", 1), ("a", 1), ("b", 1)), "songs:plays")

    assert sorted(found["file"].values(), key=str) == [1, None]
    assert found["ours"] == found["duckdb"] == {0: 1, 1: 1, 2: None}


def test_labels_that_differ_in_the_key_of_another_view_all_stay(asked: Callable[..., Any]) -> None:
    frame = labels(("a", 1, 1), ("a", 2, 1), columns=["song", "part"])
    rows = [row("a", 0, part=1, plays=1, title="x"), row("a", 0, part=2, plays=2, title="x")]

    found = asked(rows, frame, "songs:title", "parts:plays")

    assert len(found["file"]) == 1
    assert found["ours"] == found["duckdb"] == {0: 1, 1: 2}


def test_integers_beside_nulls_keep_their_digits(asked: Callable[..., Any]) -> None:
    found = asked([row("a", 0, plays=2**60 + 1)], labels(("a", 1), ("b", 1)), "songs:plays")

    assert found["file"] == {0: float(2**60), 1: None}
    assert found["ours"] == found["duckdb"] == {0: 2**60 + 1, 1: None}


def test_a_label_without_a_key_is_not_one_of_the_rows_without_a_key(asked: Callable[..., Any]) -> None:
    found = asked([row(None, 0, plays=1), row("a", 0, plays=2)], labels((None, 1), ("a", 1)), "songs:plays")

    assert found["file"] == {0: 1, 1: 2}
    assert found["ours"] == found["duckdb"] == {0: None, 1: 2}


def test_a_row_without_an_event_time_never_counts(asked: Callable[..., Any]) -> None:
    found = asked([row("a", None, plays=1), row("b", 0, plays=2)], labels(("a", 1), ("b", 1)), "songs:plays")

    assert found["file"] == {0: 1, 1: 2}
    assert found["ours"] == found["duckdb"] == {0: None, 1: 2}


def test_times_may_be_text(place: Path, store_of: StoreOf) -> None:
    write(place / "history.parquet", [row("a", 0, plays=1)])
    frame = labels(("a", 1)).assign(event_timestamp=["2026-01-01 22:00:00+09:00"])

    with pytest.raises(AttributeError, match="tzinfo"):
        store_of("file").get_historical_features(frame.copy(), ["songs:plays"]).to_df()
    found = store_of(OURS).get_historical_features(frame, ["songs:plays"]).to_df()

    assert found["plays"].tolist() == [1]
    assert found["event_timestamp"].tolist() == [pd.Timestamp(NOON) + pd.Timedelta(hours=1)]


def test_labels_come_back_in_their_order(place: Path, store_of: StoreOf) -> None:
    write(place / "history.parquet", [row("a", 0, plays=1), row("b", -2, plays=2)])
    frame = labels(("a", 5), ("b", 4), ("a", 3), columns=["song"])[["label", "event_timestamp", "song"]]

    def answer(kind: str) -> pa.Table:
        return store_of(kind).get_historical_features(frame.copy(), ["songs:plays"]).to_arrow()

    # By the event times of the features.
    assert answer("file")["label"].to_pylist()[0] == 1
    assert answer(OURS)["label"].to_pylist() == [0, 1, 2]

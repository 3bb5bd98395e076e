"""Whatever is unusual is read by Feast itself, with one line that says why, and its errors are Feast's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore, Field, RequestSource
from feast.errors import FeatureViewNotFoundException
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from feature_ops.feast.reader import OnlineReader
from tests.integration.feast.engine.any_rows import TIMES
from tests.integration.feast.engine.stores import Held, on_sqlite
from tests.integration.feast.reader.library import (
    EPOCH,
    Library,
    asked,
    left_to_feast,
    library,
    read,
    told,
    view_of,
)

FACTS = ["facts:facts_text", "facts:facts_large"]
PARTS = ["parts:parts_text"]


@pytest.fixture
def shop(tmp_path: Path) -> Library:
    """Some songs in SQLite."""
    return filled(library(tmp_path, on_sqlite(tmp_path)))


def filled(shop: Library) -> Library:
    shop.clear()
    moment = pa.array([EPOCH + timedelta(days=20_000)] * 2, TIMES)
    times = {"happened": moment, "noted": moment}
    songs = {"song": ["a", "7"], "facts_text": ["b", "c"], "facts_large": pa.array([1, None], pa.int64())}
    rows = {
        "facts": (["text", "large"], songs),
        "parts": (["text"], {"song": ["a", "7"], "part": [0, 1], "parts_text": ["b", "c"]}),
    }
    for name, (kinds, columns) in rows.items():
        view = view_of(name, kinds)
        view.entity_columns = shop.views[name].entity_columns
        shop.held.write_as_feast(view, pa.record_batch({**columns, **times}))
    return shop


def outcome(call: Any, *arguments: Any) -> Any:
    """What a call returns, or the kind of its error and what it says."""
    try:
        return call(*arguments)
    except Exception as error:
        return type(error), str(error)


UNUSUAL: dict[str, tuple[list[str], Mapping[str, Sequence[Any]]]] = {
    "no key": (FACTS, {}),
    "no rows": (FACTS, {"song": []}),
    "another key": (FACTS, {"title": ["a"]}),
    "a key too many": (FACTS, {"song": ["a"], "title": ["a"]}),
    "the key of another view": (FACTS, {"song": ["a"], "part": [0]}),
    "a key too few": (PARTS, {"song": ["a"]}),
    "the entity's name": (FACTS, {"song_entity": ["a", "7"]}),
    "null": (FACTS, {"song": ["a", None]}),
    "only null": (FACTS, {"song": [None]}),
    "numbers for text": (FACTS, {"song": [7]}),
    "text for numbers": (PARTS, {"song": ["a"], "part": ["0"]}),
    "text for numbers that is none": (PARTS, {"song": ["a"], "part": ["x"]}),
    "truths for numbers": (PARTS, {"song": ["a"], "part": [False]}),
    "numbers of numpy": (PARTS, {"song": ["a"], "part": [np.int64(0)]}),
    "columns of numpy": (FACTS, {"song": np.array(["a", "7"])}),  # type: ignore[dict-item]
    "a number that is too large": (PARTS, {"song": ["a"], "part": [2**63]}),
    "a text that is none": (FACTS, {"song": ["\ud800"]}),
    "columns of two lengths": (PARTS, {"song": ["a", "7"], "part": [0]}),
    "the key of no entity": (["world:world_text"], {"__dummy_id": ["", "x"]}),
    "any key for no entity": (["world:world_text"], {"anything": [1, 2]}),
    "one text": (FACTS, {"song": "a7"}),
    "tuples": (FACTS, {"song": ("a", "7")}),
}


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_unusual_keys_are_answered_or_refused_as_feast_does_it(shop: Library, unusual: str) -> None:
    features, keys = UNUSUAL[unusual]
    expected = outcome(asked, shop.store, features, keys, False)
    assert outcome(read, shop.store, features, keys, False) == expected


def test_the_line_in_the_log_says_why_and_is_written_once(shop: Library) -> None:
    reader = OnlineReader.of(shop.store, FACTS)
    with left_to_feast() as lines:
        for _ in range(3):
            reader.read({"song": ["a"], "title": ["a"]})
        reader.read({"song": ["a"]})
    assert lines == ["features are read by Feast itself: title is no join key"]


def test_features_that_nobody_defined_are_refused_when_the_reader_is_made(shop: Library) -> None:
    with pytest.raises(FeatureViewNotFoundException):
        OnlineReader.of(shop.store, ["nothing:of_it"])


def test_features_computed_on_demand_are_feasts(shop: Library) -> None:
    @on_demand_feature_view(
        sources=[shop.views["facts"], RequestSource(name="now", schema=[Field(name="tax", dtype=Int64)])],
        schema=[Field(name="price", dtype=Float64)],
    )
    def priced(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"price": inputs["facts_large"].astype(float) * inputs["tax"]})

    shop.store.apply(priced)
    features, keys = [*FACTS, "priced:price"], {"song": ["a", "7"], "tax": [2, 3]}
    with left_to_feast() as lines:
        found = read(shop.store, features, keys, False)
    assert found == asked(shop.store, features, keys, False)
    assert lines == ["features are read by Feast itself: features are computed on demand"]


def test_a_store_that_reads_in_its_own_way_is_asked_itself(shop: Library) -> None:
    class Own(SqliteOnlineStore):
        def online_read(self, *arguments: Any, **options: Any) -> Any:
            return [(None, None) for _ in super().online_read(*arguments, **options)]

    shop.store._get_provider()._online_store = Own()
    with left_to_feast() as lines:
        found = read(shop.store, FACTS, {"song": ["a"]}, False)
    assert found == asked(shop.store, FACTS, {"song": ["a"]}, False)
    assert found[1]["facts_text"] == ["None"]
    assert lines == ["features are read by Feast itself: the online store is Own"]


def test_a_feature_store_that_answers_in_its_own_way_is_asked_itself(shop: Library) -> None:
    class Own(FeatureStore):
        def get_online_features(self, *arguments: Any, **options: Any) -> Any:
            raise NotImplementedError("not here")

    with pytest.raises(NotImplementedError, match="not here"):
        OnlineReader.of(Own(config=shop.store.config), FACTS).read({"song": ["a"]})


def test_a_reader_follows_definitions_that_are_applied(shop: Library) -> None:
    reader = OnlineReader.of(shop.store, FACTS)
    assert told(reader.read({"song": ["a"]}))[1]["facts_text"] == ["'b'"]

    disabled = view_of("facts")
    disabled.enabled = False
    shop.store.apply(disabled)
    with pytest.raises(ValueError, match="is disabled"):
        reader.read({"song": ["a"]})

    shop.store.apply(view_of("facts"))
    assert told(reader.read({"song": ["a"]}))[1]["facts_text"] == ["'b'"]


def test_columns_tell_what_is_missing_and_when_values_were_true(held: Held, tmp_path: Path) -> None:
    shop = filled(library(tmp_path, held))
    keys = {"song": ["7", "nobody"]}
    answer = OnlineReader.of(shop.store, FACTS).read(keys)
    assert told(answer) == asked(shop.store, FACTS, keys, False)
    column = answer.columns["facts_large"]
    assert column.values == [None, None]
    assert column.event_timestamps == [EPOCH + timedelta(days=20_000), None]

"""Training sets are those of stock Feast, row by row; where its two stores differ, those of the right one."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.feast.offline.concerts import NOON, OURS, row, write

SONGS, PARTS = st.sampled_from(["a", "b", "🎵"]), st.integers(1, 2)
HOURS = st.integers(0, 6)
ASKED = {
    "songs": ["plays", "loudness", "live", "title", "added", "tags"],
    "fresh": ["live", "plays"],
    "parts": ["title", "plays"],
    "unordered": ["plays"],
}
RARELY_MORE = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of which no two are equal in song, part, event time and created time."""
    found = draw(
        st.lists(
            st.tuples(SONGS, PARTS, HOURS, HOURS),
            min_size=1,
            max_size=14,
            unique_by=lambda one: (one[0], one[2], one[3]),
        )
    )
    return [
        row(
            song,
            hour,
            part=part,
            noted=NOON + timedelta(hours=noted, microseconds=1),
            plays=draw(st.none() | st.integers(-(2**53), 2**53)),
            loud=draw(st.none() | st.floats(-100, 100, width=32)),
            live=draw(st.none() | st.booleans()),
            title=draw(
                st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
            ),
            added=draw(st.none() | st.just(NOON + timedelta(microseconds=hour))),
            tags=draw(st.none() | st.lists(st.sampled_from(["x", "é"]), max_size=2)),
        )
        for song, part, hour, noted in found
    ]


@st.composite
def labels(draw: st.DrawFn) -> pd.DataFrame:
    """Labels of which each has a time of its own, in any zone, with any index."""
    found = draw(
        st.lists(st.tuples(st.integers(-1, 8 * 60), SONGS | st.just("z"), PARTS), min_size=1, max_size=9)
    )
    times = {minutes: number for number, (minutes, _, _) in enumerate(found)}
    rows = [found[number] for number in times.values()]
    moments = pd.Series([NOON + timedelta(minutes=minutes) for minutes, _, _ in rows])
    zone = draw(st.sampled_from(["UTC", "Asia/Seoul", "naive"]))
    moments = moments.dt.tz_localize(None) if zone == "naive" else moments.dt.tz_convert(zone)
    return pd.DataFrame(
        {
            "label": range(len(rows)),
            "part": pd.Series([part for _, _, part in rows], dtype=draw(st.sampled_from(["int64", "int32"]))),
            "event_timestamp": moments,
            "song": [song for _, song, _ in rows],
        }
    ).set_axis(draw(st.permutations(range(len(rows)))))


def plain(value: Any) -> Any:
    """Return a value as it can be compared: floats of whole numbers are these."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value == int(value) else value
    return value


def by_label(table: pa.Table) -> dict[int, dict[str, Any]]:
    return {one["label"]: {name: plain(value) for name, value in one.items()} for one in table.to_pylist()}


@RARELY_MORE
@given(
    history=histories(),
    per_group=st.integers(1, 5),
    asked=labels(),
    views=st.lists(st.sampled_from(sorted(ASKED)), min_size=1, max_size=3, unique=True),
    once_created=st.booleans(),
)
def test_training_sets_are_those_of_stock_feast(
    place: Path,
    store_of: Callable[[str], FeatureStore],
    history: list[dict[str, Any]],
    per_group: int,
    asked: pd.DataFrame,
    views: list[str],
    once_created: bool,
) -> None:
    if "unordered" in views:  # of equal event times any may count there
        history = list({(one["id"], one["at"]): one for one in history}.values())
    write(place / "history.parquet", history, per_group)
    refs = [f"{view}:{feature}" for view in views for feature in ASKED[view]]

    found = {
        kind: store_of(kind)
        .get_historical_features(
            asked.copy(), refs, full_feature_names=True, filter_by_created_timestamp=once_created
        )
        .to_arrow()
        for kind in (OURS, "file", "duckdb")
    }

    ours, file, duckdb = (by_label(table) for table in found.values())
    assert list(ours) == asked["label"].tolist()
    assert ours == duckdb
    # It leaves out labels of whose song there are rows, but none that counts.
    assert {label: ours[label] for label in file} == file
    assert found[OURS].column_names == found["file"].column_names

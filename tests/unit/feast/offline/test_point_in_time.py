from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.offline.moments import Moments
from feature_ops.feast.offline.point_in_time import History, PointInTimeJoin
from tests.unit.feast.engine.columns import examples

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
KEYS: dict[str, pa.DataType] = {"song": pa.string(), "part": pa.int32()}


@dataclass(frozen=True)
class Row:
    """A row of a history or of labels; times are a second and a number of the smallest units, or missing."""

    song: str | None
    part: int | None
    time: tuple[int, int] | None
    created: tuple[int, int] | None = None


# Few values, so that keys and times are often equal.
TIMES = st.sampled_from([None, (1, 0), (2, -1), (2, 0), (2, 1), (3, 0), (4, 0)])
ROWS = st.lists(
    st.builds(Row, st.sampled_from(["a", "a", "🎵", None]), st.sampled_from([1, 1, 2, None]), TIMES, TIMES),
    max_size=25,
)


def count(time: tuple[int, int] | None, unit: str) -> int | None:
    return None if time is None else time[0] * 10**9 // NANOSECONDS[unit] + time[1]


def moment(time: tuple[int, int] | None, unit: str) -> int | None:
    return None if time is None else time[0] * 10**9 + time[1] * NANOSECONDS[unit]


def in_files(folder: Path, rows: Sequence[Row], unit: str, per_file: int) -> pads.Dataset:
    times = pa.timestamp(unit, "UTC")
    table = pa.table(
        {
            "song": pa.array([row.song for row in rows], KEYS["song"]),
            "part": pa.array([row.part for row in rows], KEYS["part"]),
            "place": pa.array(range(len(rows)), pa.int64()),
            "happened": pa.array([count(row.time, unit) for row in rows], times),
            "noted": pa.array([count(row.created, unit) for row in rows], times),
        }
    )
    paths = []
    for number, start in enumerate(range(0, max(len(rows), 1), per_file)):
        paths.append(str(folder / f"{number:03d}.parquet"))
        # Parquet of this version keeps every unit of time.
        pq.write_table(table.slice(start, per_file), paths[-1], row_group_size=3, version="2.6")
    return pads.dataset(paths, format="parquet")


def counting_row(
    history: Sequence[Row],
    label: Row,
    units: tuple[str, str],
    keys: Sequence[str],
    with_created: bool,
    ttl: timedelta | None,
    once_created: bool,
) -> int | None:
    """Look at every row: the definition of what counts."""
    now = moment(label.time, units[1])
    best: tuple[int, int, int] | None = None
    for place, row in enumerate(history):
        event, created = moment(row.time, units[0]), moment(row.created, units[0])
        wanted = [getattr(label, key) for key in keys]
        if now is None or event is None or event > now or None in wanted:
            continue
        if wanted != [getattr(row, key) for key in keys]:
            continue
        if once_created and (created is None or created > now):
            continue
        rank = (event, -(2**63) if created is None else created, place) if with_created else (event, 0, place)
        best = max(best, rank) if best else rank
    if best and ttl and now is not None and best[0] < now - ttl // timedelta(microseconds=1) * 1_000:
        return None
    return best[2] if best else None


@settings(examples, max_examples=150)
@given(
    history=ROWS,
    labels=ROWS,
    units=st.tuples(st.sampled_from(sorted(NANOSECONDS)), st.sampled_from(sorted(NANOSECONDS))),
    keys=st.sampled_from([["song"], ["song", "part"], ["part"], []]),
    created=st.sampled_from(["ignored", "orders", "once"]),
    ttl=st.none() | st.builds(timedelta, seconds=st.integers(1, 3), microseconds=st.integers(0, 1)),
    per_file=st.integers(1, 12),
)
def test_each_label_gets_the_row_that_counts_by_definition(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[Row],
    labels: list[Row],
    units: tuple[str, str],
    keys: list[str],
    created: str,
    ttl: timedelta | None,
    per_file: int,
) -> None:
    join = PointInTimeJoin(
        History(
            dataset=in_files(tmp_path_factory.mktemp("rows"), history, units[0], per_file),
            keys=keys,
            features={"place": "place"},
            event_time="happened",
            created_time=None if created == "ignored" else "noted",
            ttl=ttl,
            once_created=created == "once",
        ),
        keys=[pa.array([getattr(label, key) for label in labels], KEYS[key]) for key in keys],
        moments=Moments.of(
            pa.array([count(label.time, units[1]) for label in labels], pa.timestamp(units[1], "UTC"))
        ),
        limits=Limits(batch_rows=4),
    )

    found = join.features()["place"].to_pylist()

    assert found == [
        counting_row(history, label, units, keys, created != "ignored", ttl, created == "once")
        for label in labels
    ]


@pytest.mark.parametrize(
    ("once_created", "expected"),
    [(False, [None, 2, 2, 3]), (True, [None, None, 2, 3])],
    ids=["orders", "once created"],
)
def test_created_times_order_rows_of_one_event_time(
    tmp_path: Path, once_created: bool, expected: list[int | None]
) -> None:
    rows = [
        Row("a", 1, (2, 0), None),
        Row("a", 1, (2, 0), (1, 0)),
        Row("a", 1, (2, 0), (3, 0)),
        Row("a", 1, (4, 0), None if not once_created else (4, 0)),
        Row("a", 1, (1, 0), (4, 0)),
    ]
    labels = [
        Row("a", 1, (seconds, microseconds)) for seconds, microseconds in [(0, 5), (2, 5), (3, 5), (4, 5)]
    ]
    if once_created:
        rows[1] = Row("a", 1, (2, 0), (3, 0))  # equal: the last one counts
    assert [
        counting_row(rows, label, ("us", "us"), ["song"], True, None, once_created) for label in labels
    ] == (expected)

    found = PointInTimeJoin(
        History(
            in_files(tmp_path, rows, "us", 2),
            ["song"],
            {"place": "place"},
            "happened",
            "noted",
            None,
            once_created,
        ),
        keys=[pa.array(["a"] * len(labels))],
        moments=Moments.of(pa.array([count(label.time, "us") for label in labels], pa.timestamp("us"))),
    ).features()

    assert found["place"].to_pylist() == expected


def test_values_of_any_arrow_type_stay_what_they_are(tmp_path: Path) -> None:
    values = pa.table(
        {
            "large": pa.array([2**63 - 1, None], pa.int64()),
            "decimal": pa.array([Decimal("1.000000000000000000001"), None], pa.decimal128(38, 21)),
            "moment": pa.array([1, None], pa.timestamp("ns", "Asia/Seoul")),
            "words": pa.array([["a", None], None], pa.list_(pa.string())),
            "pair": pa.array([{"x": 1, "y": "z"}, None], pa.struct({"x": pa.int8(), "y": pa.string()})),
            "named": pa.array(["a", None]).dictionary_encode(),
            "single": pa.array([float("nan"), None], pa.float32()),
        }
    )
    times = pa.array([10, 20], pa.timestamp("us", "UTC"))
    for number in range(2):
        part = values.append_column("happened", times).slice(number, 1)
        pq.write_table(part, tmp_path / f"{number}.parquet", version="2.6")
    dataset = pads.dataset(sorted(str(path) for path in tmp_path.iterdir()), format="parquet")
    features = {name: name for name in values.column_names}

    found = PointInTimeJoin(
        History(dataset, [], features, "happened"),
        keys=[],
        moments=Moments.of(pa.array([5, 15, 15, 25], times.type)),
    ).features()

    assert found.schema.types == values.schema.types
    for name in values.column_names:
        expected = values[name].to_pylist()
        assert repr(found[name].to_pylist()) == repr([None, expected[0], expected[0], expected[1]])


def test_a_limit_of_memory_is_kept_by_spilling(tmp_path: Path) -> None:
    rows = 400_000
    times = pa.timestamp("us", "UTC")
    keys = pa.array([f"{number % (rows // 4):060d}" for number in range(rows)])
    table = pa.table({"song": keys, "value": range(rows), "happened": pa.array(range(rows), times)})
    pq.write_table(table, tmp_path / "rows.parquet")
    asked = table.slice(0, rows // 4)

    found = PointInTimeJoin(
        History(pads.dataset(tmp_path / "rows.parquet"), ["song"], {"value": "value"}, "happened"),
        keys=[asked["song"].combine_chunks()],
        moments=Moments.of(pa.array([rows] * asked.num_rows, times)),
        limits=Limits(memory="64MB"),
    ).features()

    assert found["value"].to_pylist() == list(range(rows - rows // 4, rows))


def test_rows_later_than_the_newest_label_are_not_read(tmp_path: Path) -> None:
    times = pa.timestamp("us", "UTC")
    for number in range(3):
        table = pa.table({"value": [number], "happened": pa.array([number * 10], times)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    dataset = pads.dataset(sorted(str(path) for path in tmp_path.iterdir()), format="parquet")
    with (tmp_path / "2.parquet").open("r+b") as file:  # its footer is whole, its data is not
        file.write(b"\0" * 40)

    found = PointInTimeJoin(
        History(dataset, [], {"value": "value"}, "happened"),
        keys=[],
        moments=Moments.of(pa.array([15], times)),
    ).features()

    assert found["value"].to_pylist() == [1]


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(["a", "🎵", None]),
        pa.array(["a", "🎵", None], pa.large_string()),
        pa.array(["a", "🎵", None]).dictionary_encode(),
        pa.array(["a", "🎵", None], pa.large_string()).dictionary_encode(),
        pa.array([b"\0", b"\0a", None]),
        pa.array([b"ab", b"\0\0", None], pa.binary(2)),
        pa.array([1, -1, None], pa.int8()),
        pa.array([2**64 - 1, 2**63, None], pa.uint64()),
        pa.array([2**53, 2**53 + 1, None], pa.int64()),
        pa.array([2**53, 2**53 + 1, None], pa.int64()).dictionary_encode(),
        pa.array([True, False, None]),
    ],
    ids=lambda keys: str(keys.type),
)
def test_keys_of_every_type_are_told_apart(tmp_path: Path, keys: pa.Array) -> None:
    times = pa.array([10] * 3, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"key": keys, "value": [0, 1, 2], "happened": times}), tmp_path / "one.parquet")

    found = PointInTimeJoin(
        History(pads.dataset(tmp_path / "one.parquet"), ["key"], {"value": "value"}, "happened"),
        keys=[keys.take(pa.array([1, 0, 2]))],
        moments=Moments.of(times),
    ).features()

    assert found["value"].to_pylist() == [1, 0, None]

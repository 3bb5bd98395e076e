from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.latest import LatestRows
from feature_ops.feast.engine.rows import CREATED_TIME, EVENT_TIME
from tests.unit.feast.engine.columns import KEYS, columns_of, examples

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(hours=10)
SCHEMA = pa.schema(
    {
        "song": pa.string(),
        "part": pa.int64(),
        "value": pa.int64(),
        "happened": pa.timestamp("us", "UTC"),
        "noted": pa.timestamp("us", "UTC"),
    }
)
HOURS = st.integers(-1, 11)
ROWS = st.lists(st.tuples(st.sampled_from("abc🎵"), st.integers(0, 1), HOURS, st.none() | HOURS), max_size=30)


def at(hour: int | None) -> datetime | None:
    return None if hour is None else START + timedelta(hours=hour)


def in_files(folder: Path, rows: Sequence[tuple[Any, ...]], per_file: int, per_group: int) -> pads.Dataset:
    """Write rows of (song, part, hour, created hour), each with its place as value."""
    table = pa.Table.from_pylist(
        [
            {"song": song, "part": part, "value": place, "happened": at(hour), "noted": at(created)}
            for place, (song, part, hour, created) in enumerate(rows)
        ],
        schema=SCHEMA,
    )
    paths = []
    for number, start in enumerate(range(0, max(len(rows), 1), per_file)):
        paths.append(str(folder / f"{number:03d}.parquet"))
        pq.write_table(table.slice(start, per_file), paths[-1], row_group_size=per_group)
    return pads.dataset(paths, format="parquet")


def latest_of(
    dataset: pads.Dataset,
    keys: Sequence[str],
    created: str | None = "noted",
    rivals: pads.Dataset | None = None,
    skip: int = 0,
    **limits: Any,
) -> LatestRows:
    return LatestRows(
        dataset,
        keys={key: key for key in keys},
        features={"value": "value"},
        event_time="happened",
        created_time=created,
        start=START,
        end=END,
        limits=Limits(**limits),
        rivals=rivals,
        skip=skip,
    )


def values_of(rows: LatestRows) -> list[int]:
    return sorted(
        value for batch, _ in rows.batches(rows.find()) for value in batch.column("value").to_pylist()
    )


@examples
@given(
    rows=ROWS,
    rivals=st.integers(0, 12),
    per_file=st.integers(1, 12),
    per_group=st.integers(1, 5),
    keys=st.sampled_from([["song"], ["song", "part"], []]),
)
def test_the_latest_row_of_each_key_in_the_window_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    rivals: int,
    per_file: int,
    per_group: int,
    keys: list[str],
) -> None:
    expected: dict[tuple[Any, ...], tuple[int, int, int]] = {}
    for place, (song, part, hour, created) in enumerate(rows):
        key = tuple({"song": song, "part": part}[name] for name in keys)
        rank = (hour, -100 if created is None else created, place)
        if 0 <= hour <= 10 and rank > expected.get(key, (-1, 0, 0)):
            expected[key] = rank
    rivals = min(rivals, len(rows))
    online = in_files(tmp_path_factory.mktemp("online"), rows[:rivals], per_file, per_group)
    dataset = in_files(tmp_path_factory.mktemp("rows"), rows[rivals:], per_file, per_group)

    found = values_of(latest_of(dataset, keys, rivals=online, batch_rows=3))

    assert [place + rivals for place in found] == sorted(
        place for _, _, place in expected.values() if place >= rivals
    )


@examples
@given(rows=ROWS, skip=st.integers(0, 30), batch_rows=st.integers(1, 9), batch_bytes=st.integers(50, 500))
def test_what_was_reached_and_what_is_left_are_all_rows_that_are_the_latest(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    skip: int,
    batch_rows: int,
    batch_bytes: int,
) -> None:
    dataset = in_files(tmp_path_factory.mktemp("rows"), rows, 7, 3)
    whole = latest_of(dataset, ["song"], batch_rows=batch_rows, batch_bytes=batch_bytes)
    everything = values_of(whole)
    online: list[int] = []
    reached = 0
    for batch, now_reached in whole.batches(whole.find()):
        if now_reached > skip:
            break
        online += batch.column("value").to_pylist()
        reached = now_reached

    left = values_of(latest_of(dataset, ["song"], skip=reached))

    window = [place for place, (_, _, hour, _) in enumerate(rows) if 0 <= hour <= 10]
    done = set(window[:reached]) & set(everything)
    # A batch that was cut is done when its last piece is: what came of it comes once more.
    assert done <= set(online)
    assert left == [place for place in everything if place not in done]


def test_a_row_that_many_rivals_have_is_found_among_all_of_them(tmp_path: Path) -> None:
    count = 10_001
    online = in_files(tmp_path, [(f"song {number}", 0, 5, 5) for number in range(count)], count, count)
    (tmp_path / "new").mkdir()
    rows = [(f"song {number}", 0, 5, 4 + number % 2) for number in range(count)]
    dataset = in_files(tmp_path / "new", rows, count, count)

    found = values_of(latest_of(dataset, ["song"], rivals=online))

    assert found == list(range(1, count, 2))


@examples
@given(data=st.data(), feast_type=st.sampled_from(sorted(KEYS)))
def test_keys_of_every_type_are_told_apart(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, feast_type: str
) -> None:
    keys = data.draw(columns_of(KEYS[feast_type]))
    table = pa.table(
        {
            "song": keys,
            "value": pa.array(range(len(keys)), pa.int64()),
            "happened": pa.array([START] * len(keys), SCHEMA.field("happened").type),
        }
    )
    path = tmp_path_factory.mktemp("keys") / "keys.parquet"
    # Parquet of this version keeps every unit of time.
    pq.write_table(table, path, version="2.6")

    found = values_of(latest_of(pads.dataset(path), ["song"], created=None))

    last = {
        key: place
        for place, key in enumerate(
            table["song"].cast(pa.int64()).to_pylist()
            if feast_type == "UNIX_TIMESTAMP"
            else table["song"].to_pylist()
        )
    }
    assert found == sorted(last.values())


def keyed(folder: Path, keys: pa.Array) -> pads.Dataset:
    """Write rows of one time, one for each key, each with its place as value."""
    count = len(keys)
    times = pa.array([START] * count, SCHEMA.field("happened").type)
    table = pa.table({"song": keys, "value": pa.array(range(count), pa.int64()), "happened": times})
    pq.write_table(table, folder / "keyed.parquet")
    return pads.dataset(folder / "keyed.parquet")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()], ids=str)
def test_long_keys_are_told_apart_from_each_other_and_from_their_digests(
    tmp_path: Path, kind: pa.DataType
) -> None:
    long = "x" * 1000
    keys = [long, sha256(long.encode()).hexdigest(), long + "x", "x" * 63, "x" * 64, long]
    dataset = keyed(tmp_path, pa.array(keys).cast(kind))

    assert values_of(latest_of(dataset, ["song"], created=None)) == [1, 2, 3, 4, 5]


def test_long_keys_of_one_length_are_told_apart(tmp_path: Path) -> None:
    keys = pa.array([b"x" * 80, b"x" * 79 + b"y", b"x" * 80], pa.binary(80))

    assert values_of(latest_of(keyed(tmp_path, keys), ["song"], created=None)) == [1, 2]


def test_keys_that_are_larger_than_the_memory_are_found(tmp_path: Path) -> None:
    keys = pa.array([f"{number:03d}" + "x" * (1 << 20) for number in [*range(40), 7]])
    dataset = keyed(tmp_path, keys)

    found = values_of(latest_of(dataset, ["song"], created=None, memory="16MB", threads=1))

    assert found == [*range(7), *range(8, 41)]


def test_too_little_memory_to_spill_is_told_with_its_setting(tmp_path: Path) -> None:
    dataset = keyed(tmp_path, pa.array([f"{number:030d}" for number in range(10_000)]))

    with pytest.raises(MemoryError, match="memory_limit of 1MB: raise it"):
        latest_of(dataset, ["song"], created=None, memory="1MB").find()


def test_a_row_without_an_event_time_is_not_in_any_window(tmp_path: Path) -> None:
    dataset = in_files(tmp_path, [("a", 0, None, None)], 1, 1)

    assert values_of(latest_of(dataset, ["song"])) == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_both_ends_of_the_window_count_in_every_unit(tmp_path: Path, unit: str) -> None:
    table = in_files(tmp_path, [("a", 0, 0, None), ("b", 0, 10, None), ("c", 0, 11, None)], 9, 9).to_table()
    place = table.schema.get_field_index("happened")
    pq.write_table(
        table.set_column(place, "happened", table["happened"].cast(pa.timestamp(unit))),
        tmp_path / "t.parquet",
    )

    assert values_of(latest_of(pads.dataset(tmp_path / "t.parquet"), ["song"])) == [0, 1]


def test_values_come_out_as_they_went_in(tmp_path: Path) -> None:
    exact = pa.table(
        {
            "song": ["a", "b"],
            "value": pa.array([2**63 - 1, None], pa.int64()),
            "happened": pa.array([START, START], SCHEMA.field("happened").type),
        }
    )
    pq.write_table(exact, tmp_path / "exact.parquet")
    rows = latest_of(pads.dataset(tmp_path / "exact.parquet"), ["song"], created=None)

    ((batch, _),) = rows.batches(rows.find())

    assert batch.column("value") == exact["value"].combine_chunks()
    assert batch.schema.names == ["value", "song", EVENT_TIME]


def test_the_created_time_is_handed_on(tmp_path: Path) -> None:
    rows = latest_of(in_files(tmp_path, [("a", 0, 1, 2)], 1, 1), ["song"])

    ((batch, _),) = rows.batches(rows.find())

    assert batch.column(CREATED_TIME).to_pylist() == [at(2)]


def test_what_memory_does_not_hold_goes_to_disk(tmp_path: Path) -> None:
    count = 60_000
    dataset = keyed(tmp_path, pa.array([f"{number % (count // 2):030d}" for number in range(count)]))
    rows = latest_of(dataset, ["song"], created=None, memory="16MB", threads=1)

    assert values_of(rows) == list(range(count // 2, count))


def test_a_batch_is_cut_where_its_rows_are_large(tmp_path: Path) -> None:
    dataset = in_files(tmp_path, [(song, 0, 1, None) for song in "abcdefgh"], 8, 8)
    rows = latest_of(dataset, ["song"], batch_bytes=100)

    sizes = [batch.num_rows for batch, _ in rows.batches(rows.find())]

    assert sum(sizes) == 8
    assert max(sizes) < 8


@pytest.mark.parametrize("batch_rows", [1, 9])
@pytest.mark.parametrize(("rows_before", "rows_after"), [(1, 2), (2, 1)])
def test_files_that_change_meanwhile_are_noticed(
    tmp_path: Path, rows_before: int, rows_after: int, batch_rows: int
) -> None:
    rows = [("a", 0, 1, None), ("b", 0, 1, None)]
    before = latest_of(in_files(tmp_path, rows[:rows_before], 9, 9), ["song"])
    found = before.find()
    after = latest_of(in_files(tmp_path, rows[:rows_after], 9, 9), ["song"], batch_rows=batch_rows)

    with pytest.raises(RuntimeError, match="changed"):
        list(after.batches(found))

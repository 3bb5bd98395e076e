"""Files that common writers produce are read, whatever types, encodings and row groups they choose."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import ROW_COLUMN, Normalized, normalize

Rows = Callable[..., dict[str, Any]]
Read = Callable[[Path], dict[str, list[Any]]]
DAY = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = datetime(2026, 7, 1, 12, tzinfo=UTC)
MICROSECONDS = 1_767_225_600_000_000
EXPECTED = {
    "plant": ["fern", "moss", "reed"],
    "leaves": [3, 4, 5],
    "height": [1.5, 0.009, 2.0],
    "alive": [True, False, True],
    "note": ["green 🌿", None, ""],
    "event_timestamp": [MICROSECONDS] * 3,
    ROW_COLUMN: [1, 2, 3],
}


@pytest.fixture
def plants() -> pa.Table:
    times = pa.array([DAY] * 3, pa.timestamp("us", "UTC"))
    columns = {name: EXPECTED[name] for name in ("plant", "leaves", "height", "alive", "note")}
    return pa.table({**columns, "event_timestamp": times})


@pytest.fixture
def read(dataset: Dataset, tmp_path: Path) -> Read:
    def run(source: Path) -> dict[str, list[Any]]:
        result = normalized(source)
        assert not result.violations, [str(violation) for violation in result.violations]
        found: dict[str, list[Any]] = pq.read_table(result.path).to_pydict()
        return found

    def normalized(source: Path) -> Normalized:
        target = tmp_path / "normalized"
        return normalize(
            source, target, dataset, timestamp_column="", stamp=STAMP, latest=STAMP, limit=1024**3
        )

    return run


def by_duckdb(table: pa.Table, path: Path, options: str = "") -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("plants", table)
        connection.execute(f"COPY (SELECT * FROM plants) TO '{path}' (FORMAT parquet{options})")


def by_pandas(table: pa.Table, path: Path, **options: Any) -> None:
    table.to_pandas().to_parquet(path, **options)


def by_fastparquet(table: pa.Table, path: Path, **options: Any) -> None:
    import fastparquet

    frame = table.to_pandas()
    if options.get("times") == "int96":
        # It takes any other unit for nanoseconds.
        frame = frame.astype({"event_timestamp": "datetime64[ns, UTC]"})
    fastparquet.write(str(path), frame, **options)


def by_polars(table: pa.Table, path: Path, **options: Any) -> None:
    import polars

    polars.from_arrow(table).write_parquet(path, **options)


def by_datafusion(table: pa.Table, path: Path, compression: str = "zstd", views: bool = False) -> None:
    import datafusion

    if views:
        table = table.set_column(0, "plant", table["plant"].cast(pa.string_view()))
    frame = datafusion.SessionContext().from_arrow(table)
    frame.write_parquet(str(path), compression=compression)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "duckdb": by_duckdb,
    "duckdb v2": lambda table, path: by_duckdb(table, path, ", parquet_version v2, compression zstd"),
    "duckdb lz4": lambda table, path: by_duckdb(table, path, ", compression lz4, row_group_size 1"),
    "duckdb brotli": lambda table, path: by_duckdb(table, path, ", compression brotli"),
    "pandas": by_pandas,
    "pandas index": lambda table, path: by_pandas(table, path, index=True),
    "fastparquet": by_fastparquet,
    "fastparquet gzip": lambda table, path: by_fastparquet(table, path, compression="GZIP"),
    "fastparquet int96": lambda table, path: by_fastparquet(table, path, times="int96"),
    "polars": by_polars,
    "polars lz4": lambda table, path: by_polars(table, path, compression="lz4"),
    "polars snappy": lambda table, path: by_polars(table, path, compression="snappy", row_group_size=1),
    "datafusion": by_datafusion,
    "datafusion views": lambda table, path: by_datafusion(table, path, views=True),
    "datafusion lz4": lambda table, path: by_datafusion(table, path, "lz4_raw"),
}


@pytest.mark.parametrize("writer", list(WRITERS))
def test_files_of_common_writers_are_read(writer: str, plants: pa.Table, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "source.parquet"
    WRITERS[writer](plants, path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    assert read(files[0]) == EXPECTED


TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
INDICES = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    "type_", [*TEXTS, *(pa.dictionary(index, pa.string()) for index in INDICES)], ids=str
)
def test_texts_of_every_type_are_read(
    type_: pa.DataType, stored: bool, plants: pa.Table, read: Read, tmp_path: Path
) -> None:
    for name in ("plant", "note"):
        position = plants.schema.get_field_index(name)
        if pa.types.is_dictionary(type_):
            encoded = plants[name].combine_chunks().dictionary_encode()
            column: pa.Array = pa.DictionaryArray.from_arrays(
                encoded.indices.cast(type_.index_type), encoded.dictionary
            )
        else:
            column = plants[name].cast(type_)
        plants = plants.set_column(position, name, column)
    pq.write_table(plants, tmp_path / "source", store_schema=stored)
    assert read(tmp_path / "source") == EXPECTED


NUMBERS: dict[str, list[pa.DataType]] = {
    "leaves": [
        *INDICES,
        pa.float32(),
        pa.float64(),
        pa.float16(),
        pa.decimal32(9, 2),
        pa.decimal64(18, 4),
        pa.decimal128(38, 0),
        pa.decimal128(38, 9),
        pa.decimal256(76, 10),
    ],
    "height": [pa.decimal32(9, 3), pa.decimal64(18, 9), pa.decimal128(38, 20), pa.decimal256(76, 30)],
    "alive": [pa.int8(), pa.uint64()],
    "event_timestamp": [
        pa.timestamp("s"),
        pa.timestamp("ms", "Asia/Seoul"),
        pa.timestamp("ns"),
        pa.timestamp("ns", "-03:30"),
        pa.date32(),
        pa.date64(),
    ],
}


@pytest.mark.parametrize(
    ("name", "type_"),
    [(name, type_) for name, types in NUMBERS.items() for type_ in types],
    ids=lambda value: str(value),
)
def test_numbers_and_times_of_every_type_are_read(
    name: str, type_: pa.DataType, plants: pa.Table, read: Read, tmp_path: Path
) -> None:
    values = plants[name].to_pylist()
    if pa.types.is_decimal(type_):
        column = pa.array([Decimal(str(value)) for value in values], type_)
    else:
        column = plants[name].cast(pa.int8() if name == "alive" else plants[name].type).cast(type_)
    plants = plants.set_column(plants.schema.get_field_index(name), name, column)
    pq.write_table(plants, tmp_path / "source")
    assert read(tmp_path / "source") == EXPECTED


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_codec_and_page_version_is_read(
    compression: str, version: str, plants: pa.Table, read: Read, tmp_path: Path
) -> None:
    pq.write_table(
        plants,
        tmp_path / "source",
        compression=compression,
        data_page_version=version,
        row_group_size=2,
        write_page_checksum=True,
    )
    assert read(tmp_path / "source") == EXPECTED


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    "encoding",
    [
        "PLAIN",
        "DELTA_BINARY_PACKED",
        "DELTA_BYTE_ARRAY",
        "DELTA_LENGTH_BYTE_ARRAY",
        "BYTE_STREAM_SPLIT",
        "RLE",
    ],
)
def test_every_encoding_is_read(
    encoding: str, version: str, plants: pa.Table, read: Read, tmp_path: Path
) -> None:
    fitting = {
        "PLAIN": plants.column_names,
        "DELTA_BINARY_PACKED": ["leaves", "event_timestamp"],
        "BYTE_STREAM_SPLIT": ["leaves", "height"],
        "RLE": ["alive"],
    }.get(encoding, ["plant", "note"])
    pq.write_table(
        plants,
        tmp_path / "source",
        use_dictionary=False,
        column_encoding=dict.fromkeys(fitting, encoding),
        data_page_version=version,
    )
    assert read(tmp_path / "source") == EXPECTED


def test_dictionaries_that_give_way_to_plain_texts_are_read(rows: Rows, read: Read, tmp_path: Path) -> None:
    count = 3_000
    names = tuple(f"plant {number:06}" for number in range(count))
    pq.write_table(
        pa.table(rows(names)), tmp_path / "source", dictionary_pagesize_limit=1_000, row_group_size=1_000
    )
    encodings = pq.ParquetFile(tmp_path / "source").metadata.row_group(0).column(0).encodings
    assert {"PLAIN", "RLE_DICTIONARY"} <= set(encodings)
    assert read(tmp_path / "source")["plant"] == list(names)


@pytest.mark.parametrize("places", [(0,), (1,), (3,), (0, 0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "data_page_version": "2.0"}], ids=str)
def test_row_groups_without_rows_are_read_wherever_they_are(
    places: tuple[int, ...], options: dict[str, Any], plants: pa.Table, read: Read, tmp_path: Path
) -> None:
    parts = [plants.slice(number, 1) for number in range(3)]
    for place in sorted(places, reverse=True):
        parts.insert(place, plants.slice(0, 0))
    with pq.ParquetWriter(tmp_path / "source", plants.schema, **options) as writer:
        for part in parts:
            writer.write_table(part)
    assert pq.ParquetFile(tmp_path / "source").metadata.num_row_groups == 3 + len(places)
    assert read(tmp_path / "source") == EXPECTED


UNKNOWN = {
    "views in lists": pa.array([["a"], None, []], pa.list_view(pa.string_view())),
    "maps": pa.array([[("a", [1])], None, []], pa.map_(pa.string(), pa.list_(pa.int8()))),
    "structs": pa.array([{"a": {"b": [{"c": 1}]}}, None, {"a": None}]),
    "fixed lists": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int16(), 2)),
    "durations": pa.array([1, None, 3], pa.duration("ns")),
    "times": pa.array([1, None, 3], pa.time64("us")),
    "halves": pa.array([1, None, 3], pa.float16()),
    "nulls": pa.nulls(3),
    "uuids": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16] * 3, pa.binary(16))),
    "own types": pa.ExtensionArray.from_storage(
        pa.opaque(pa.binary(), "a", "b"), pa.array([b"x", None, b""])
    ),
    "huge decimals": pa.array([Decimal("1e40"), None, Decimal(1)], pa.decimal256(76, 5)),
    "dictionaries": pa.DictionaryArray.from_arrays(pa.array([0, None, 0], pa.uint64()), pa.array([1.5])),
}


def test_undeclared_columns_of_any_type_are_left_out(
    plants: pa.Table, dataset: Dataset, read: Read, tmp_path: Path
) -> None:
    for name, column in UNKNOWN.items():
        plants = plants.append_column(name, column)
    pq.write_table(plants, tmp_path / "source")
    assert read(tmp_path / "source") == EXPECTED
    result = normalize(
        tmp_path / "source",
        tmp_path / "out",
        dataset,
        timestamp_column="",
        stamp=STAMP,
        latest=STAMP,
        limit=10**9,
    )
    assert result.layout.unexpected == tuple(sorted(UNKNOWN))


def test_a_time_of_96_bits_between_two_microseconds_is_refused(
    plants: pa.Table, dataset: Dataset, read: Read, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for more, wrong in ((0, 0), (1, 2)):
        times = pa.array([MICROSECONDS * 1000, MICROSECONDS * 1000 + more, MICROSECONDS * 1000]).cast(
            pa.timestamp("ns")
        )
        table = plants.set_column(5, "event_timestamp", times)
        pq.write_table(table, source, use_deprecated_int96_timestamps=True)
        result = normalize(
            source, tmp_path / "out", dataset, timestamp_column="", stamp=STAMP, latest=STAMP, limit=10**9
        )
        assert len(result.violations) == bool(wrong)
    (violation,) = result.violations
    assert "row 2: 2026-01-01 00:00:00.000000001" in str(violation)
    assert "round the times to microseconds where the file is written" in str(violation)

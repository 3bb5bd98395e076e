"""Small files that claim to be large end soon and in little memory."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset

STAMP = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = 5 * 1024**3

# The process that starts the parser, as a worker does; reports what came of it and what the parser took.
_WORKER = """
import pickle, resource, sys
from feature_ops.datasets.parser_process import Limits, parse
source, folder, dataset, stamp, limits = pickle.loads(sys.stdin.buffer.read())
try:
    times = {"stamp": stamp, "latest": stamp}
    found = parse(source, folder, dataset, timestamp_column="", **times, limits=Limits(*limits))
    outcome = f"{found.rows} rows"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(outcome, used.ru_maxrss // 1024, used.ru_utime + used.ru_stime, sep="\\n")
"""
# What the parser takes for a file of one row.
BASE_MIB = 100


def normalized_alone(
    file: Path, dataset: Dataset, limit: int = LIMIT, memory: int = 1024**3
) -> tuple[str, int, float]:
    """Parse as a worker does; returns what came of it, MiB that the parser took and its CPU seconds."""
    folder = file.with_name("parsed")
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _WORKER],
        input=pickle.dumps((file, folder, dataset, STAMP, (limit, memory, 240))),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    outcome, taken, seconds = done.stdout.decode().splitlines()
    return outcome, int(taken) - BASE_MIB, float(seconds)


def varint(number: int, *, signed: bool = True) -> bytes:
    """Return a number as thrift's compact protocol writes it."""
    number = number << 1 if signed else number
    written = b""
    while number > 127:
        written += bytes([number & 127 | 128])
        number >>= 7
    return written + bytes([number])


def with_footer(file: Path, change: Callable[[bytes], bytes]) -> None:
    content = file.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer = change(content[-8 - size : -8])
    file.write_bytes(content[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def row_groups(count: int) -> Callable[[bytes], bytes]:
    """Repeat the one row group of a footer."""

    def change(footer: bytes) -> bytes:
        start = footer.index(b"\x19\x1c\x19") + 2  # a list of one struct that begins with a list
        end = footer.index(b"parquet-cpp") - 2
        head = b"\x19\xfc" + varint(count, signed=False)
        return footer[: start - 2] + head + footer[start:end] * count + footer[end:]

    return change


def claims(rows: int, size: int, true_size: int) -> Callable[[bytes], bytes]:
    """Say that there are more rows and bytes than there are."""

    def change(footer: bytes) -> bytes:
        true_group = b"\x16" + varint(true_size) + b"\x16" + varint(1)
        assert footer.count(true_group) == 1
        footer = footer.replace(true_group, b"\x16" + varint(size) + b"\x16" + varint(rows))
        true_file = b"\x16" + varint(1) + b"\x19"
        assert footer.count(true_file) >= 1
        return footer.replace(true_file, b"\x16" + varint(rows) + b"\x19", 1)

    return change


@pytest.fixture
def honest(rows: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A file of one row and one row group."""
    file = tmp_path / "bomb.parquet"
    pq.write_table(pa.table(rows()).slice(0, 1), file, compression="none", store_schema=False)
    return file


def test_a_million_row_groups_are_refused_by_the_size_of_their_list(honest: Path, dataset: Dataset) -> None:
    with_footer(honest, row_groups(1_000_000))
    outcome, memory, seconds = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file's footer claims" in outcome
    assert "write it with fewer columns or larger row groups" in outcome
    assert memory < 50
    assert seconds < 5


def test_many_row_groups_take_bounded_memory(honest: Path, dataset: Dataset) -> None:
    # A third of what is let in.
    size = len(honest.read_bytes())
    with_footer(honest, row_groups(10 * 1024 * 1024 // size))
    outcome, memory, seconds = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file is damaged: it claims 1 rows and has" in outcome
    assert memory < 230
    assert seconds < 30


def test_ten_gigabytes_that_are_not_there_are_not_asked_for(honest: Path, dataset: Dataset) -> None:
    true_size = pq.ParquetFile(honest).metadata.row_group(0).total_byte_size
    with_footer(honest, claims(10**8, 10 * 1024**3, true_size))
    assert pq.ParquetFile(honest).metadata.num_rows == 10**8
    outcome, memory, seconds = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file is damaged: it claims 100,000,000 rows and has 1:" in outcome
    assert memory < 100
    assert seconds < 10


def test_a_footer_of_two_gigabytes_is_not_read(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "bomb.parquet"
    file.write_bytes(b"PAR1")
    os.truncate(file, 2**31 + 12)  # a sparse file: no disk is used
    with file.open("r+b") as hollow:
        hollow.seek(-8, 2)
        hollow.write((2**31 - 1).to_bytes(4, "little") + b"PAR1")
    outcome, memory, _ = normalized_alone(file, dataset)
    assert "BadInputError: the parquet file's footer claims 2,147,483,647 bytes" in outcome
    assert memory < 50


def test_a_hundred_thousand_columns_are_no_trouble(
    rows: Callable[..., dict[str, Any]], dataset: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "wide.parquet"
    more = pa.nulls(2)
    columns = {**rows(), **{f"c{number}": more for number in range(100_000)}}
    pq.write_table(pa.table(columns), file, write_statistics=False, use_dictionary=False, store_schema=False)
    outcome, memory, seconds = normalized_alone(file, dataset)
    assert outcome == "2 rows"
    assert memory < 700
    assert seconds < 20


def texts(rows: Callable[..., dict[str, Any]], text: str, count: int) -> pa.Table:
    """Return rows that all have one text, which stands in a dictionary once."""
    note = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [text])
    return pa.table(rows(tuple(map(str, range(count))), note=note))


@pytest.mark.parametrize(
    ("length", "count", "words"),
    [
        (1_000_000, 20_000, "column 'note' has too many long texts: those of more than 4,096 bytes take"),
        (4_000, 400_000, "the parquet file unpacks to more than 1,073,741,824 bytes: split it, or raise"),
    ],
)
def test_one_text_in_thousands_of_rows_is_never_written_out(
    length: int,
    count: int,
    words: str,
    rows: Callable[..., dict[str, Any]],
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    file = tmp_path / "bomb.parquet"
    pq.write_table(texts(rows, "x" * length, count), file, compression="zstd", store_schema=length < 20_000)
    assert file.stat().st_size < 2_000_000
    outcome, memory, seconds = normalized_alone(file, dataset, limit=1024**3)
    assert f"BadInputError: {words}" in outcome
    assert memory < 400
    assert seconds < 60


def test_texts_that_continue_one_another_take_bounded_memory(
    rows: Callable[..., dict[str, Any]], dataset: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "bomb.parquet"
    encoding = {"note": "DELTA_BYTE_ARRAY"}
    table = texts(rows, "x" * 1_000_000, 150)
    pq.write_table(
        table, file, compression="zstd", use_dictionary=False, column_encoding=encoding, store_schema=False
    )
    outcome, memory, _ = normalized_alone(file, dataset)
    assert "BadInputError: column 'note' has too many long texts" in outcome
    assert memory < 300


def test_many_rows_in_a_few_bytes_count_as_what_they_unpack_to(
    rows: Callable[..., dict[str, Any]], dataset: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "bomb.parquet"
    same = pa.table(rows()).slice(0, 1)
    columns = {name: pa.repeat(same.column(name)[0], 1_000_000) for name in same.column_names}
    pq.write_table(pa.table(columns), file, compression="zstd")
    assert file.stat().st_size < 100_000
    outcome, memory, _ = normalized_alone(file, dataset, limit=20_000_000)
    assert "BadInputError: the parquet file unpacks to more than 20,000,000 bytes" in outcome
    assert memory < 50


def test_pages_that_fit_into_no_memory_are_refused_with_the_remedy(
    rows: Callable[..., dict[str, Any]], dataset: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "bomb.parquet"
    same = pa.table(rows()).slice(0, 1)
    count = 6_000_000
    columns = {name: pa.repeat(same.column(name)[0], count) for name in same.column_names if name != "plant"}
    zeros = pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(bytes(4 * count + 4)), pa.py_buffer(b"")]
    )
    table = pa.table({"plant": zeros, **columns})
    pq.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=False,
        data_page_size=2**30,
        row_group_size=count,
        max_rows_per_page=count,
    )
    assert file.stat().st_size < 1_000_000
    outcome, memory, seconds = normalized_alone(file, dataset, memory=96 * 1024**2)
    assert "BadInputError: the parquet file needs more than 96 MiB of memory to be read: write it" in outcome
    assert "1 MB per page is usual" in outcome
    assert memory < 150
    assert seconds < 10


def last_page(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the first page of the last column, whose place nothing after it depends on."""
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(5)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = file.read_bytes()
    end = start + chunk.total_compressed_size
    file.write_bytes(content[:start] + change(content[start:end]) + content[end:])


def test_long_lists_of_equal_numbers_are_read_in_little_memory(tmp_path: Path) -> None:
    dataset = Dataset(
        name="vectors",
        keys=("id",),
        columns=(
            Column(name="id", type=ColumnType.INT64),
            Column(name="vector", type=ColumnType.LIST, of=ColumnType.FLOAT),
        ),
    )
    count, length = 30_000, 1_000
    numbers = pa.repeat(pa.scalar(0.5, pa.float32()), count * length)
    vectors = pa.ListArray.from_arrays(pa.array(range(0, count * length + 1, length), pa.int32()), numbers)
    file = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"id": range(count), "vector": vectors}), file)
    assert file.stat().st_size < 1_000_000
    outcome, memory, _ = normalized_alone(file, dataset)
    assert outcome == "30000 rows"
    assert memory < 400


@pytest.mark.parametrize(
    ("compression", "unpacked", "words"),
    [
        ("none", 2**31 - 1, "the parquet file is damaged: Unexpected end of stream"),
        ("none", 10**9, "the parquet file is damaged: Unexpected end of stream"),
        ("none", -5, "the parquet file is damaged: Invalid page header"),
        ("zstd", 2**31 - 1, "the parquet file needs more than 1,024 MiB of memory to be read"),
        ("zstd", 10**8, "the parquet file is damaged"),
        ("snappy", 10**8, "the parquet file is damaged"),
    ],
)
def test_a_page_that_lies_about_its_size_takes_no_memory(
    compression: str,
    unpacked: int,
    words: str,
    rows: Callable[..., dict[str, Any]],
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    file = tmp_path / "bomb.parquet"
    pq.write_table(pa.table(rows()).slice(0, 1), file, compression=compression, store_schema=False)

    def lie(page: bytes) -> bytes:
        # Field one is the page's type, field two its size in memory.
        assert (page[0], page[2]) == (0x15, 0x15)
        assert page[3] < 128
        return page[:3] + (varint(unpacked) if unpacked > 0 else b"\x09") + page[4:]

    last_page(file, lie)
    outcome, memory, _ = normalized_alone(file, dataset, limit=1024**3)
    assert f"BadInputError: {words}" in outcome
    assert memory < 50


def test_a_dictionary_that_claims_more_values_than_fit_takes_no_memory(
    honest: Path, dataset: Dataset
) -> None:
    def lie(page: bytes) -> bytes:
        one_value = b"\x4c\x15" + varint(1)
        assert one_value in page[:16]
        return page.replace(one_value, b"\x4c\x15" + varint(2**31 - 1), 1)

    last_page(honest, lie)
    outcome, memory, _ = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file needs more than 1,024 MiB of memory to be read" in outcome
    assert memory < 50

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

from feature_ops.datasets.dataset import Dataset

STAMP = datetime(2026, 7, 1, 12, tzinfo=UTC)

_CHILD = """
import pickle, resource, sys, time
import pandera.pandas, pyarrow.parquet
from feature_ops.datasets.normalize import normalize
source, target, dataset, stamp = pickle.loads(sys.stdin.buffer.read())
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, began = peak(), time.process_time()
try:
    outcome = normalize(source, target, dataset, timestamp_column="", stamp=stamp, latest=stamp)
    outcome = f"{outcome.rows} rows"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
print(outcome, peak() - before, time.process_time() - began, sep="\\n")
"""


def normalized_alone(file: Path, dataset: Dataset) -> tuple[str, int, float]:
    """Normalize in a process of its own; returns what came of it, MiB that it took and CPU seconds."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=pickle.dumps((file, file.with_name("out"), dataset, STAMP)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    outcome, memory, seconds = done.stdout.decode().splitlines()
    return outcome, int(memory), float(seconds)


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


def test_as_many_row_groups_as_are_let_in_take_bounded_memory(honest: Path, dataset: Dataset) -> None:
    size = len(honest.read_bytes())
    with_footer(honest, row_groups(30 * 1024 * 1024 // size))
    outcome, memory, seconds = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file is damaged: it claims 1 rows and has" in outcome
    assert memory < 700
    assert seconds < 60


def test_ten_gigabytes_that_are_not_there_are_not_asked_for(honest: Path, dataset: Dataset) -> None:
    true_size = pq.ParquetFile(honest).metadata.row_group(0).total_byte_size
    with_footer(honest, claims(10**9, 10 * 1024**3, true_size))
    assert pq.ParquetFile(honest).metadata.num_rows == 10**9
    outcome, memory, seconds = normalized_alone(honest, dataset)
    assert "BadInputError: the parquet file is damaged: it claims 1,000,000,000 rows and has 1:" in outcome
    assert memory < 100
    assert seconds < 10

"""The files of a source are scanned in memory that does not grow with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from feast import FileSource

from feature_ops.feast.engine.source_files import bounded_scanner, open_source, parquet_files

MEGABYTE = 1 << 20


def test_what_was_read_of_a_large_file_is_let_go_of_before_its_end(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    with pq.ParquetWriter(tmp_path / "large.parquet", pa.schema({"value": pa.float64()})) as writer:
        for _ in range(80):
            writer.write_table(pa.table({"value": random.random(MEGABYTE // 8)}))
    assert (tmp_path / "large.parquet").stat().st_size > 80 * MEGABYTE
    dataset = open_source(FileSource(path=str(tmp_path / "large.parquet"), timestamp_field="at"), None)
    before = pa.total_allocated_bytes()

    columns = {"value": pads.field("value")}
    scanner = bounded_scanner(dataset, columns, None, batch_rows=16_384, files_at_once=4)
    held = [pa.total_allocated_bytes() - before for _ in scanner.to_batches()]

    assert max(held) < 40 * MEGABYTE


def test_the_row_groups_of_large_files_come_in_their_order_between_small_files(tmp_path: Path) -> None:
    names = [f"{number}.parquet" for number in range(3)]
    for number, name in enumerate(names):
        rows = pa.table({"value": np.arange(number * 1_000, number * 1_000 + 1_000)})
        pq.write_table(rows, tmp_path / name, row_group_size=100)
    paths = [str(tmp_path / name) for name in names]

    read = parquet_files(paths, [1, 1 << 30, 1], None, pa.schema({"value": pa.int64(), "more": pa.string()}))

    assert len(list(read.get_fragments())) == 1 + 10 + 1
    assert read.to_table()["value"].to_pylist() == list(range(3_000))
    assert read.to_table()["more"].null_count == 3_000

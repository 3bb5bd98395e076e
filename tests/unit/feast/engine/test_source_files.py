"""The files of a source are scanned in memory that does not grow with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource

from feature_ops.feast.engine.source_files import open_source, parquet_format

MEGABYTE = 1 << 20


def test_what_was_read_of_a_large_file_is_let_go_of_before_its_end(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    with pq.ParquetWriter(tmp_path / "large.parquet", pa.schema({"value": pa.float64()})) as writer:
        for _ in range(40):
            writer.write_table(pa.table({"value": random.random(MEGABYTE // 8)}))
    assert (tmp_path / "large.parquet").stat().st_size > 40 * MEGABYTE
    dataset = open_source(FileSource(path=str(tmp_path / "large.parquet"), timestamp_field="at"), None)
    before = pa.total_allocated_bytes()

    held = [
        pa.total_allocated_bytes() - before
        for _ in dataset.scanner(batch_size=16_384, batch_readahead=4).to_batches()
    ]

    assert max(held) < 20 * MEGABYTE


@pytest.mark.parametrize(
    ("sizes", "ahead"),
    [([MEGABYTE] * 3, True), ([MEGABYTE, 33 * MEGABYTE], False), ([None, None], False)],
    ids=["small", "one is large", "local"],
)
def test_only_small_files_on_s3_are_fetched_ahead(sizes: list[int | None], ahead: bool) -> None:
    assert parquet_format(sizes).default_fragment_scan_options.pre_buffer == ahead

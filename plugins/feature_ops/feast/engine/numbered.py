"""Scans whose rows have numbers, by which a later scan of the same rows finds them again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as pads

POSITION = "position"


class NumberedRows:
    """Numbers the rows of a scan in the order in which they come; ``rows`` is how many have come."""

    def __init__(self, scanner: pads.Scanner) -> None:
        self._scanner = scanner
        self.rows = 0

    def stream(self) -> pa.RecordBatchReader:
        """Return the rows, once, with their numbers in the column ``position``."""
        schema = self._scanner.projected_schema.append(pa.field(POSITION, pa.int64()))
        return pa.RecordBatchReader.from_batches(schema, self._numbered(schema))

    def _numbered(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for batch in self._scanner.to_batches():
            numbers = np.arange(self.rows, self.rows + batch.num_rows)
            self.rows += batch.num_rows
            yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(numbers)], schema=schema)


def picked_rows(
    scanner: pads.Scanner, is_picked: npt.NDArray[np.bool_]
) -> Iterator[tuple[pa.RecordBatch, int, int]]:
    """
    Yield rows of a scan, at least one at a time, and how many rows of it came before and with them.

    :param is_picked: one entry per row, in the order in which they come.
    :raises RuntimeError: the scan has another number of rows.
    """
    after = 0
    for batch in scanner.to_batches():
        before, after = after, after + batch.num_rows
        picked = is_picked[before:after]
        if len(picked) < batch.num_rows:
            break
        if picked.any():
            yield batch if picked.all() else batch.filter(pa.array(picked)), before, after
    if after != len(is_picked):
        raise RuntimeError("the source's files changed while they were read")

"""A small dataset of its own, and files for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.accept import write_history_file
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.datasets.history import History
from feature_ops.datasets.new_rows import NewRows, compare
from feature_ops.datasets.normalize import Normalized, normalize

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = 1024**3


@pytest.fixture
def dataset() -> Dataset:
    """Readings of plants, so that no test depends on songs."""
    return Dataset(
        name="plants",
        keys=("plant",),
        feature_service="plants",
        timestamp_aliases=("snapshot_date",),
        columns=(
            Column(name="plant", type=ColumnType.STRING),
            Column(name="leaves", type=ColumnType.INT64, ge=0),
            Column(name="height", type=ColumnType.DOUBLE, le=100),
            Column(name="alive", type=ColumnType.BOOL),
            Column(name="note", type=ColumnType.STRING, nullable=True),
        ),
    )


@pytest.fixture
def rows() -> Callable[..., dict[str, Any]]:
    """Return columns of one good row per plant, with the given ones replaced or added."""

    def make(plants: tuple[str, ...] = ("fern", "moss"), **columns: Any) -> dict[str, Any]:
        count = len(plants)
        good = {
            "plant": list(plants),
            "leaves": [3] * count,
            "height": [1.5] * count,
            "alive": [True] * count,
            "note": [None] * count,
            "event_timestamp": pa.array(
                [datetime(2026, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", "UTC")
            ),
        }
        return {name: value for name, value in {**good, **columns}.items() if value is not None}

    return make


@pytest.fixture
def normalized(dataset: Dataset, tmp_path: Path) -> Callable[..., Normalized]:
    """Write columns as a parquet file and normalize it."""

    def run(columns: dict[str, Any] | pa.Table, timestamp_column: str = "", **options: Any) -> Normalized:
        source = tmp_path / "source.parquet"
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), source, **options)
        target = tmp_path / f"normalized-{len(list(tmp_path.iterdir()))}.parquet"
        return normalize(
            source, target, dataset, timestamp_column=timestamp_column, stamp=NOW, latest=NOW, limit=LIMIT
        )

    return run


class Garden:
    """A history on local disk that files are accepted into, one after the other."""

    def __init__(self, dataset: Dataset, folder: Path, normalized: Callable[..., Normalized]) -> None:
        self.dataset, self.folder, self.normalized = dataset, folder, normalized
        self.files: list[str] = []

    def bring(self, columns: dict[str, Any], at: datetime = NOW) -> NewRows:
        """Accept what a file brings at a moment; fails if the file breaks a rule."""
        file = self.normalized(columns)
        assert not file.violations, [str(violation) for violation in file.violations]
        work = self.folder / f"work-{len(list(self.folder.iterdir()))}"
        work.mkdir()
        history = History(self.dataset, self.files)
        with compare(file.path, history, ingested_at=at, folder=work, memory_limit="100MB") as comparison:
            comparison.note_conflicts(file.violations)
            self.violations = [str(violation) for violation in file.violations]
            found = comparison.counts()
            if found.new and not self.violations:
                path = work / "accepted.parquet"
                name = write_history_file(comparison.batches(), self.dataset, path, file.batch_rows)
                self.files.append(str(path.rename(work / name)))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return the history, oldest file first."""
        return [row for file in self.files for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def garden(dataset: Dataset, tmp_path: Path, normalized: Callable[..., Normalized]) -> Garden:
    """An empty history."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return Garden(dataset, folder, normalized)

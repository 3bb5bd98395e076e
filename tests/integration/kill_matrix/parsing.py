"""Parse source files in the worker itself: child processes would take a third of the matrix's time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from feature_ops.datasets import validation
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import Normalized, normalize
from feature_ops.datasets.parser import NORMALIZED_FILE
from feature_ops.datasets.parser_process import Limits


def parse_in_this_process() -> None:
    """Replace the parser process, which tests/unit/datasets/test_parser_process.py covers."""
    validation.parse = _parse


def _parse(
    source: Path,
    folder: Path,
    dataset: Dataset,
    *,
    timestamp_column: str,
    stamp: datetime,
    latest: datetime,
    limits: Limits,
) -> Normalized:
    return normalize(
        source,
        folder / NORMALIZED_FILE,
        dataset,
        timestamp_column=timestamp_column,
        stamp=stamp,
        latest=latest,
        limit=limits.unpacked,
    )

"""The reader stands on Feast and its driver alone."""

from __future__ import annotations

import subprocess
import sys


def test_the_reader_needs_neither_airflow_nor_duckdb() -> None:
    program = """
import sys
sys.modules["airflow"] = sys.modules["duckdb"] = None
from feature_ops.feast.reader import Answer, Column, OnlineReader, Status
import feature_ops.feast.reader.postgres, feature_ops.feast.reader.sqlite, feature_ops.feast.reader.valkey
print(OnlineReader.__name__)
"""

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "OnlineReader"

"""What the steps cost: memory that does not grow with the file, and only the imports that are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Dataset

if TYPE_CHECKING:
    from conftest import Steps

# Imports take 300 MB; the file is one row group, and read whole it would need twice its size more.
MEMORY_LIMIT_MB = 650
FILE_MB = 200

# Runs one step in a process of its own; prints facts, peak memory in MB and imported modules.
STEP = """
import json, resource, sys
sys.path[:0] = json.loads(sys.argv[3])
from datetime import UTC, datetime
from types import SimpleNamespace
from feature_ops.datasets import operators
from feature_ops.datasets.dataset import Dataset
dataset = Dataset.model_validate_json(sys.argv[2])
arguments = json.loads(sys.argv[1])
step = getattr(operators, arguments.pop("step"))(task_id="step", dataset=dataset, **arguments)
run = SimpleNamespace(run_id="run", run_after=datetime.now(UTC))
facts = step.reconcile({"dag_run": run, "params": {}}).facts
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
# The parser is a process of its own.
peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
print(json.dumps([facts, peak, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def run_step(dataset: Dataset, **arguments: Any) -> tuple[dict[str, Any], int, list[str]]:
    plugins = str(Path(__file__).resolve().parents[3] / "plugins")
    done = subprocess.run(
        [sys.executable, "-c", STEP, json.dumps(arguments), dataset.model_dump_json(), json.dumps([plugins])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "FEATURE_OPS_MEMORY_LIMIT": "160MB"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts, peak, modules = json.loads(done.stdout.splitlines()[-1])
    return facts, peak, modules


def large_file(path: Path, megabytes: int) -> None:
    """Write one row group of what does not compress: keys and random notes."""
    random = np.random.default_rng(0)
    length = 400
    rows = megabytes * 1024 * 1024 // (length + 20)
    notes = random.integers(97, 123, rows * length, dtype=np.uint8)
    places = np.arange(0, (rows + 1) * length, length, dtype=np.int32)
    table = pa.table(
        {
            "plant": pa.array(np.arange(rows)).cast(pa.string()),
            "leaves": random.integers(0, 9, rows),
            "note": pa.StringArray.from_buffers(rows, pa.py_buffer(places), pa.py_buffer(notes)),
        }
    )
    pq.write_table(table, path, compression="none", row_group_size=rows)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_large_row_group_passes_in_bounded_memory(steps: Steps, tmp_path: Path) -> None:
    large_file(tmp_path / "large.parquet", FILE_MB)
    assert pq.ParquetFile(tmp_path / "large.parquet").num_row_groups == 1
    url = f"{steps.storage_uri}/large.parquet"
    steps.store.put_file_once(str(tmp_path / "large.parquet"), url)
    ingested, peak, _ = run_step(steps.dataset, step="IngestOperator", dataset_url=url)
    assert ingested["bytes"] > FILE_MB * 1000 * 1000
    assert peak < 250
    facts, peak, _ = run_step(steps.dataset, step="ValidateOperator", ingested=ingested)
    assert facts["new"] == facts["rows"] > 400_000
    assert peak < MEMORY_LIMIT_MB


def test_each_step_imports_only_what_it_uses(steps: Steps) -> None:
    url = steps.source({"plant": ["fern"], "leaves": [1], "note": ["green"]})
    ingested, _, modules = run_step(steps.dataset, step="IngestOperator", dataset_url=url)
    assert not {"pandas", "pyarrow", "numpy", "duckdb", "feast", "dvc"} & set(modules)
    _, _, modules = run_step(steps.dataset, step="ValidateOperator", ingested=ingested)
    assert "duckdb" in modules
    assert not {"feast", "dvc", "mlflow"} & set(modules)

"""Code in an interpreter of its own, as Airflow's processes start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# Not boto3: Airflow's amazon provider imports it to check an asset's s3:// address.
HEAVY = ("feast", "pandas", "pyarrow", "mlflow", "dvc", "duckdb", "numpy")


def run_python(code: str, tmp_path: Path, *args: str, **settings: str) -> str:
    """Run code in a fresh interpreter with an Airflow home of its own and no connection at all."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "FEATURE_OPS_"))
    }
    environment |= {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "dags"), str(PROJECT / "plugins")]),
        **settings,
    }
    result = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout

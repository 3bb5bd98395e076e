from __future__ import annotations

import subprocess
import sys

from feast.repo_config import get_batch_engine_config_from_type

from feature_ops.feast.engine import ArrowEngineConfig


def test_the_engine_needs_no_airflow() -> None:
    program = """
import sys
sys.modules["airflow"] = None
from feature_ops.feast.engine import ArrowEngine
print(ArrowEngine.__name__)
"""

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "ArrowEngine"


def test_feast_finds_the_engines_settings_by_its_path() -> None:
    found = get_batch_engine_config_from_type("feature_ops.feast.engine.ArrowEngine")

    assert found is ArrowEngineConfig
    assert found(memory_limit="1GB").limits().memory == "1GB"

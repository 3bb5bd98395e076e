from __future__ import annotations

import subprocess
import sys

from feast import RepoConfig
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.repo_config import get_offline_config_from_type

from feature_ops.feast.offline import ArrowOfflineStore, ArrowOfflineStoreConfig


def test_the_store_needs_no_airflow() -> None:
    program = """
import sys
sys.modules["airflow"] = None
from feature_ops.feast.offline import ArrowOfflineStore
print(ArrowOfflineStore.__name__)
"""

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "ArrowOfflineStore"


def test_feast_finds_the_store_and_its_settings_by_its_path() -> None:
    path = "feature_ops.feast.offline.ArrowOfflineStore"
    settings = {"type": path, "memory_limit": "1GB", "threads": 3, "temp_directory": "/var/tmp"}

    config = RepoConfig(project="radio", provider="local", registry="registry.db", offline_store=settings)

    assert get_offline_config_from_type(path) is ArrowOfflineStoreConfig
    assert type(get_offline_store_from_config(config.offline_store)) is ArrowOfflineStore
    limits = config.offline_store.limits()
    assert (limits.memory, limits.threads, limits.folder) == ("1GB", 3, "/var/tmp")

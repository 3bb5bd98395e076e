"""A feature repository of one view, applied, on the real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.feast.ledger import Ledger
from feature_ops.settings import Settings, get_settings
from tests.integration.etl.steps import CONFIGURATION, TRACKS, apply_definitions

State = dict[str, Any]


@pytest.fixture
def feature_repo(
    servers: Servers,
    airflow_connections: None,
    registry_url: str,
    online_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The repository; the work folders of steps are below ``tmp_path``, too."""
    (tmp_path / "feature_store.yaml").write_text(CONFIGURATION)
    variables = {
        **servers.object_store.environment(),
        # What is down stays down: one try says so.
        "AWS_MAX_ATTEMPTS": "1",
        "FEAST_REGISTRY_URL": registry_url,
        "FEAST_ONLINE_STORE": online_store,
        "FEATURE_OPS_FEATURE_REPO": str(tmp_path),
        "FEATURE_OPS_WORK_DIR": str(tmp_path / "work"),
        "FEATURE_OPS_SOURCE_SCHEMES": '["s3", "http"]',
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    apply_definitions(tmp_path)
    return tmp_path


@pytest.fixture
def there(
    servers: Servers, storage: Settings, registry_url: str, git_repository: Any, feature_repo: Path
) -> Callable[[], State]:
    """Return what is where: all that a failing step leaves as it was."""
    bare = servers.home / "git" / git_repository.url.rsplit("/", 1)[-1]

    def look() -> State:
        store = servers.object_store
        head = ["git", "-C", str(bare), "for-each-ref"]
        return {
            "accepted": [file.name for file in store.list(TRACKS.accepted_uri)],
            "history": [file.name for file in store.list(TRACKS.uri)],
            "git": subprocess.run(head, capture_output=True, text=True, check=True).stdout,
            "ledger": sorted(Ledger(registry_url).online("radio", "tracks")),
            "online": servers.valkey.ask("DBSIZE"),
        }

    return look

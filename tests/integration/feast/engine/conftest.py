"""The three online stores that the engine writes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.servers import Servers
from tests.integration.feast.engine.stores import Held, on_postgres, on_sqlite, on_valkey


@pytest.fixture(params=["valkey", "postgres", "sqlite"])
def held(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Held:
    """One of the stores, empty."""
    if request.param == "valkey":
        request.getfixturevalue("online_store")
        return on_valkey(servers)
    if request.param == "postgres":
        return on_postgres(request.getfixturevalue("registry_url"))
    return on_sqlite(tmp_path)

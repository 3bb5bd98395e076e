"""Servers keep what they were given, and their addresses, over a stop and over a kill."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from demo.servers import Servers


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, too."""
    folder = Path(tempfile.mkdtemp(prefix="feature-ops-restart-"))
    yield folder
    shutil.rmtree(folder)


def fill(servers: Servers) -> None:
    servers.create_bucket("data")
    servers.object_store.client.put_object(Bucket="data", Key="kept", Body=b"kept")
    servers.valkey.ask("SET kept yes")
    with psycopg.connect(plain(servers.create_database("feast"))) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")


def assert_filled(servers: Servers) -> None:
    body = servers.object_store.client.get_object(Bucket="data", Key="kept")["Body"].read()
    assert body == b"kept"
    assert servers.valkey.ask("STRLEN kept") == ":3"
    with psycopg.connect(plain(servers.create_database("feast"))) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_restart_keeps_data_and_addresses_and_says_which_port_had_to_move(home: Path) -> None:
    servers = Servers(home)
    servers.start()
    fill(servers)
    endpoint, online_store = servers.object_store.endpoint_url, servers.online_store
    git_port = int(servers.git.url.rsplit(":", 1)[1])
    # As a crash of the machine would: nobody is asked to end.
    for child in servers.processes.children:
        child.process.kill()
        child.process.wait()
    servers.stop()

    told: list[str] = []
    with socket.create_server(("127.0.0.1", git_port)):
        servers = Servers(home)
        servers.start(told.append)
    try:
        assert_filled(servers)
        assert (servers.object_store.endpoint_url, servers.online_store) == (endpoint, online_store)
        assert told == [f"Port {git_port} of git is in use by another program: now {servers.git.url[17:]}."]
    finally:
        servers.stop()


def test_postgres_starts_over_when_its_first_start_was_killed(home: Path) -> None:
    half_done = home / "postgres" / "base"
    half_done.mkdir(parents=True)
    (home / "postgres" / "PG_VERSION").write_text("18\n")
    servers = Servers(home)
    servers.start()
    try:
        assert servers.create_database("feast")
    finally:
        servers.stop()

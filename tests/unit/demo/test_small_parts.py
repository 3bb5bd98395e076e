"""The small parts of the demo that need no server."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from threading import Event

import pytest

from demo.connections import connection_variables
from demo.credentials import Credentials
from demo.errors import DemoError
from demo.git_http import SMART_HTTP
from demo.parallel import in_parallel
from demo.ports import Ports, is_free
from demo.processes import clean_environment
from demo.waiting import wait_until
from feature_ops.object_store import ObjectStore


def test_secrets_are_generated_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = Credentials(path).secret("git")
    assert len(first) >= 32
    assert Credentials(path).secret("git") == first
    assert Credentials(path).secret("valkey") != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ports_are_free_distinct_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    ports = Ports(path, notify=print)
    found = {name: ports.find(name, also_at=10_000) for name in ("a", "b", "c")}
    assert len(set(found.values())) == 3
    assert all(is_free(port) and is_free(port + 10_000) for port in found.values())
    assert {name: Ports(path, notify=print).find(name, 10_000) for name in found} == found


@pytest.mark.parametrize("distance", [0, 10_000])
def test_a_remembered_port_that_a_stranger_took_is_given_up_aloud(tmp_path: Path, distance: int) -> None:
    path = tmp_path / "ports.json"
    port = Ports(path, notify=print).find("git", also_at=10_000)
    told: list[str] = []
    with socket.create_server(("127.0.0.1", port + distance)):
        other = Ports(path, told.append).find("git", also_at=10_000)
    assert other != port
    assert told == [f"Port {port} of git is in use by another program: now {other}."]


def test_waiting_ends_with_the_remedy() -> None:
    with pytest.raises(DemoError, match=r"until the cow flies: see the barn\."):
        wait_until(lambda: False, "the cow flies", timeout=0, remedy="see the barn")


def test_waiting_takes_a_refused_connection_for_not_yet() -> None:
    answers = iter([ConnectionRefusedError(), "ready"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_until(ask, "it answers", timeout=5, interval=0) == "ready"


def test_the_first_of_several_starts_that_fails_ends_the_others() -> None:
    aborted = Event()

    def waits() -> None:
        assert aborted.wait(20)
        raise DemoError("cut short")

    def fails() -> None:
        raise DemoError("no disk")

    with pytest.raises(DemoError, match="no disk"):
        in_parallel([waits, fails], abort=aborted.set)


@pytest.mark.parametrize(
    "path",
    [
        "/jukebox.git/config",
        "/jukebox.git/../jukebox.git/config",
        "/../etc/passwd",
        "/.git/info/refs",
        "/a/b.git/info/refs",
        "/jukebox.git/objects/info/packs",
        "/jukebox.git/git-upload-archive",
    ],
)
def test_git_gets_only_paths_of_the_smart_protocol(path: str) -> None:
    assert not SMART_HTTP.match(path)
    assert SMART_HTTP.match("/jukebox.git/info/refs")


def test_children_inherit_no_address_and_no_proxy_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://production.example")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://production.example")
    monkeypatch.setenv("NO_PROXY", "example.org")
    environment = clean_environment(WANTED="yes")
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert "AWS_ENDPOINT_URL" not in environment
    assert "MLFLOW_TRACKING_URI" not in environment
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert environment["WANTED"] == "yes"


def test_connections_carry_the_password_in_its_own_field() -> None:
    variables = connection_variables(
        ObjectStore("key", "secret", endpoint_url="http://127.0.0.1:1", region="r"),
        git_url="http://127.0.0.1:2/jukebox.git",
        git_login="jukebox",
        git_password="hidden",
        feast_environment={"FEAST_REGISTRY_URL": "u"},
    )
    git = json.loads(variables["AIRFLOW_CONN_GIT_DEFAULT"])
    assert "hidden" not in git["host"]
    assert git["password"] == "hidden"

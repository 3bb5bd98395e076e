"""No secret leaves the connections: all six steps run with every log on, and everything is searched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import sqlalchemy

from demo.servers import Servers
from feature_ops.object_store import split_uri
from feature_ops.settings import get_settings
from tests.integration.etl.steps import STEPS, columns, put_source
from tests.support.warm_python import Program, WarmPython

WRONG = {name: f"wrong-{name}-s3cret" for name in ("s3", "git", "registry", "valkey")}


class Search:
    """Looks for secrets wherever it is told to."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self.found: set[str] = set()
        self.searched = 0

    def add(self, *secrets: str) -> None:
        self._secrets += [secret.encode() for secret in secrets]

    def text(self, place: str, content: bytes) -> None:
        self.searched += 1
        if any(secret in content for secret in self._secrets):
            self.found.add(place)

    def folder(self, folder: Path) -> None:
        """Search names and content of files; some vanish meanwhile."""
        for parent, _, files in os.walk(folder):
            for path in (Path(parent, name) for name in files):
                self.text(str(path), str(path).encode())
                with suppress(OSError):
                    self.text(str(path), path.read_bytes())

    def command_lines(self) -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                self.text(str(file), file.read_bytes())


@contextmanager
def watched(search: Search, work: Path) -> Iterator[None]:
    """Search the process list and the work folders over and over while the block runs."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            search.command_lines()
            search.folder(work)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


@pytest.fixture
def search(servers: Servers, registry_url: str) -> Search:
    """Search for the four passwords in use and those that are wrong on purpose."""
    passwords = (
        str(servers.object_store.secret_key),
        servers.git_password,
        str(urlsplit(registry_url).password),
        servers.online_store.rsplit("password=", 1)[1],
    )
    assert len({*passwords, *WRONG.values()}) == 8
    return Search(*passwords, *WRONG.values())


@pytest.fixture
def child(feature_repo: Path, warm_python: WarmPython) -> Callable[..., Program]:
    """Start steps in a process that knows the connections, and nothing else, by its environment."""

    def start(url: str, *names: str, **connections: str) -> Program:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_SECRET", "AWS_ACCESS", "FEAST_"))
        }
        code = "import sys; from tests.integration.etl.steps import main; main(*sys.argv[1:])"
        return warm_python.start(code, url, *names, environment={**kept, **connections})

    return start


def changed(name: str, **changes: Any) -> dict[str, str]:
    variable = f"AIRFLOW_CONN_{name}_DEFAULT"
    return {variable: json.dumps({**json.loads(os.environ[variable]), **changes})}


def changed_feast(name: str, value: str) -> dict[str, str]:
    extra = json.loads(os.environ["AIRFLOW_CONN_FEAST_DEFAULT"])["extra"]
    return changed("FEAST", extra={"environment": {**extra["environment"], name: value}})


def search_servers(search: Search, servers: Servers, registry_url: str, git_url: str) -> None:
    """Search what the steps have put on the four servers."""
    store, settings = servers.object_store, get_settings()
    for uri in (settings.storage_uri, settings.dvc_remote_uri):
        for file in store.list(f"{uri}/"):
            bucket, key = split_uri(file.uri)
            answer = store.client.get_object(Bucket=bucket, Key=key)
            search.text(f"metadata of {file.uri}", repr(answer["ResponseMetadata"]).encode())
            search.text(file.uri, answer["Body"].read())
    bare = servers.home / "git" / git_url.rsplit("/", 1)[-1]
    objects = ["git", "-C", str(bare), "cat-file", "--batch", "--batch-all-objects"]
    search.text("git objects", subprocess.run(objects, capture_output=True, check=True).stdout)
    search.folder(bare)
    engine = sqlalchemy.create_engine(registry_url)
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')):
                search.text(table, b"".join(v if isinstance(v, bytes) else str(v).encode() for v in row))
    engine.dispose()


def test_d10_no_secret_is_anywhere_after_all_steps_and_after_a_kill(
    search: Search,
    child: Callable[..., Program],
    servers: Servers,
    registry_url: str,
    git_repository: Any,
    feature_repo: Path,
) -> None:
    work = feature_repo / "work"
    url = put_source(servers.object_store, columns("a", "b"))
    with watched(search, work):
        killed = child(url, "die", *STEPS)
        for output in killed.communicate(timeout=240):
            search.text("output of the killed run", output.encode())
        assert killed.returncode == -signal.SIGKILL
        assert list(work.rglob("git/config")), "a killed run leaves its folder"
        search.folder(work)

        output, errors = child(url, *STEPS).communicate(timeout=240)
    search.text("what Airflow keeps", output.encode())
    search.text("logs and command lines", errors.encode())
    for step in STEPS:
        assert f"{step} succeeded" in errors
    assert "child: ['git'" in errors
    assert "DEBUG:botocore" in errors
    assert json.loads(output.splitlines()[-1])["events"]["materialize"][0]["rows"] == 2
    assert list(work.iterdir()) == [], "the next run sweeps"
    search_servers(search, servers, registry_url, git_repository.url)
    assert search.searched > 500
    assert search.found == set()


def test_d10_no_password_is_told_by_a_run_that_it_fails(
    search: Search,
    child: Callable[..., Program],
    servers: Servers,
    registry_url: str,
    feature_repo: Path,
) -> None:
    work = feature_repo / "work"
    url = put_source(servers.object_store, columns("a"))
    wrong_registry = registry_url.replace(str(urlsplit(registry_url).password), WRONG["registry"])
    wrong_valkey = f"127.0.0.1:{servers.valkey.port},password={WRONG['valkey']}"
    with watched(search, work):
        several = {
            **changed("AWS", password=WRONG["s3"]),
            **changed("GIT", password=WRONG["git"]),
            **changed_feast("FEAST_REGISTRY_URL", wrong_registry),
        }
        first = child(url, "ingest", "version", "materialize", **several)
        told = "".join(first.communicate(timeout=240))
        search.text("wrong passwords of S3, git and registry", told.encode())
        for words in (
            "cannot be read (SignatureDoesNotMatch)",
            "Authentication failed",
            "password authentication failed",
        ):
            assert words in told
        online = changed_feast("FEAST_ONLINE_STORE", wrong_valkey)
        told = "".join(child(url, *STEPS[:-1], **online).communicate(timeout=240))
        search.text("a wrong password of Valkey", told.encode())
        assert "does not accept the sign-in: correct user name and password" in told
    assert list(work.iterdir()) == []
    assert search.found == set()


def test_a_signature_of_a_dataset_url_is_told_nowhere(
    search: Search,
    child: Callable[..., Program],
    servers: Servers,
    registry_url: str,
    git_repository: Any,
    feature_repo: Path,
) -> None:
    """It comes from the settings here: what a person types, Airflow keeps with the run."""
    bucket, key = split_uri(put_source(servers.object_store, columns("a", "b")))
    signed = servers.object_store.client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}
    )
    (signature,) = (
        values[0] for name, values in parse_qs(urlsplit(signed).query).items() if "ignature" in name
    )
    search.add(signature, quote(signature, safe=""))
    settings = {"FEATURE_OPS_SOURCE_PRIVATE_ADDRESSES": "true"}
    with watched(search, feature_repo / "work"):
        good = child("", *STEPS[:3], FEATURE_OPS_ETL_DATASET_URL=signed, **settings)
        output, errors = good.communicate(timeout=240)
        expired = signed.replace(key, "missing.parquet")
        bad = child("", "ingest", FEATURE_OPS_ETL_DATASET_URL=expired, **settings)
        told = "".join(bad.communicate(timeout=240))
    for content in (output, errors, told):
        search.text("what steps keep and log", content.encode())
    assert "version succeeded" in errors
    assert "DEBUG:urllib3.connectionpool" in errors
    assert re.search(r"missing.parquet answered 40\d", told)
    search_servers(search, servers, registry_url, git_repository.url)
    assert search.found == set()

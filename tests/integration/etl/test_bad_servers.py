"""A server that is down, refuses, is full or read-only: a line says so, and no step leaves a half."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.sdk.exceptions import AirflowFailException

from demo.object_store import weed
from demo.servers import Servers
from feature_ops.datasets.dataset import ColumnType
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.settings import get_settings
from tests.integration.etl import steps
from tests.integration.etl.steps import STEPS, TRACKS, Etl, columns, put_source

NOWHERE = "127.0.0.1:9"

log = logging.getLogger(__name__)


class Connections:
    """The connections of a test, with what it wants to differ."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def change(self, name: str, **changes: Any) -> None:
        variable = f"AIRFLOW_CONN_{name}_DEFAULT"
        value = json.loads(os.environ[variable])
        extra = {**value.get("extra", {}), **changes.pop("extra", {})}
        self._monkeypatch.setenv(variable, json.dumps({**value, **changes, "extra": extra}))

    def change_feast(self, **changes: str) -> None:
        value = json.loads(os.environ["AIRFLOW_CONN_FEAST_DEFAULT"])
        self.change("FEAST", extra={"environment": {**value["extra"]["environment"], **changes}})


def account_with(servers: Servers, *actions: str) -> dict[str, str]:
    """Make an account of the object store that may do no more than the actions."""
    name = f"reader{secrets.token_hex(4)}"
    command = (
        f"s3.configure -user {name} -access_key {name} -secret_key {name} -actions {','.join(actions)} -apply"
    )
    master = servers.seaweedfs._ports["master"]
    done = subprocess.run(
        [str(weed()), "shell", f"-master=127.0.0.1:{master}"],
        input=f"{command}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert name in done.stdout, done.stderr
    return {"login": name, "password": name}


def refusal(etl: Etl, step: str, there: Callable[[], Any], retried: bool) -> str:
    """Run a step that must fail and change nothing; returns its line."""
    before = there()
    with pytest.raises(FeatureOpsError if retried else AirflowFailException) as caught:
        etl.run(step)
    assert retried == (not isinstance(caught.value, AirflowFailException | BadInputError))
    line = str(caught.value)
    log.info("MESSAGE %s | %s", step, line)
    assert etl.state[step]["summary"] == line
    assert "\n" not in line
    assert there() == before
    return line


@pytest.fixture
def etl(servers: Servers, feature_repo: Path) -> Etl:
    """Two rows on their way."""
    return Etl(put_source(servers.object_store, columns("a", "b")))


def completes(etl: Etl, step: str) -> None:
    """Run a step that failed, and those after it."""
    etl.run(*STEPS[STEPS.index(step) :])
    assert etl.facts["verify"]["keys"] == 2


def prepared(etl: Etl, step: str) -> Etl:
    """Run all steps before one."""
    etl.run(*STEPS[: STEPS.index(step)])
    return etl


@pytest.mark.parametrize("step", ["ingest", "validate", "version", "upload", "materialize"])
def test_an_object_store_that_is_down_or_gets_a_wrong_password_is_named(
    step: str, etl: Etl, there: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, step)
    with monkeypatch.context() as patch:
        Connections(patch).change("AWS", extra={"endpoint_url": f"http://{NOWHERE}"})
        line = refusal(etl, step, there, retried=True)
    assert f"the object store at http://{NOWHERE} does not answer" in line
    with monkeypatch.context() as patch:
        Connections(patch).change("AWS", password="wrong-s3cret")
        line = refusal(etl, step, there, retried=False)
    assert "SignatureDoesNotMatch" in line
    assert "wrong-s3cret" not in line
    completes(etl, step)


@pytest.mark.parametrize("step", ["ingest", "validate", "version", "upload"])
def test_an_account_that_may_only_read_is_told_what_it_may_not(
    step: str, etl: Etl, there: Callable[[], Any], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, step)
    with monkeypatch.context() as patch:
        Connections(patch).change("AWS", **account_with(servers, "Read", "List"))
        line = refusal(etl, step, there, retried=step == "version")
    assert "is denied" in line or "may the object store's connection write to it?" in line
    assert get_settings().storage_uri in line or get_settings().dvc_remote_uri in line
    completes(etl, step)


@pytest.mark.parametrize("step", ["version", "upload", "materialize"])
def test_a_missing_bucket_is_named(
    step: str, etl: Etl, there: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, step)
    missing = f"missing-{secrets.token_hex(4)}"
    with monkeypatch.context() as patch:
        patch.setenv("FEATURE_OPS_STORAGE_URI", f"s3://{missing}")
        get_settings.cache_clear()
        with pytest.raises(AirflowFailException, match=f"{missing}.*there is no such bucket.*create it"):
            etl.run(step)
    get_settings.cache_clear()


def test_a_bucket_that_takes_no_more_is_worth_another_try(
    etl: Etl, there: Callable[[], Any], servers: Servers
) -> None:
    bucket = urlsplit(get_settings().storage_uri).netloc

    def shell(command: str) -> None:
        master = servers.seaweedfs._ports["master"]
        command = f"fs.configure -locationPrefix=/buckets/{bucket}/ {command} -apply\n"
        arguments = [str(weed()), "shell", f"-master=127.0.0.1:{master}"]
        subprocess.run(arguments, input=command, text=True, capture_output=True, check=True, timeout=60)

    prepared(etl, "upload")
    shell("-readOnly")
    try:
        line = refusal(etl, "upload", there, retried=True)
    finally:
        shell("-delete")
    assert f"PutObject of {get_settings().storage_uri}/tracks/" in line
    assert "out of space" in line
    etl.run("upload", "materialize", "verify")
    assert etl.facts["verify"]["keys"] == 2


def test_a_history_that_is_damaged_or_of_another_type_is_named_before_anything_is_written(
    etl: Etl, there: Callable[[], Any], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, "materialize")
    changed = [
        column.model_copy(update={"type": ColumnType.DOUBLE}) if column.name == "plays" else column
        for column in TRACKS.columns
    ]
    with monkeypatch.context() as patch:
        patch.setattr(steps, "TRACKS", TRACKS.model_copy(update={"columns": tuple(changed)}))
        line = refusal(etl, "materialize", there, retried=False)
    assert re.search(
        r"column 'plays' is declared as double, but .*/tracks/\w+\.parquet has it as int64", line
    )
    (file,) = servers.object_store.list(TRACKS.uri)
    content, _ = servers.object_store.get_bytes(file.uri) or (b"", "")
    for step in ("materialize", "verify"):
        servers.object_store.put_bytes(content[:4] + b"\xff" * 300 + content[304:], file.uri)
        line = refusal(etl, step, there, retried=False)
        assert line.startswith(f"{file.uri} is damaged: it does not hold what its name says. Remove it and")
        servers.object_store.delete(file.uri)
        etl.run("upload", step)
    assert etl.facts["verify"]["keys"] == 2


REGISTRIES: tuple[tuple[Callable[[str], str], str, bool], ...] = (
    (lambda url: url.replace(f":{urlsplit(url).port}/", ":9/"), "does not answer.*refused", True),
    (
        lambda url: url.replace(str(urlsplit(url).password), "wrong-s3cret"),
        "refuses us .*password authentication failed.*FEAST_REGISTRY_URL",
        False,
    ),
    (lambda url: f"{url}_missing", 'refuses us .*database "feast_.*_missing" does not exist', False),
)


@pytest.mark.parametrize("step", ["validate", "materialize", "verify"])
def test_a_registry_that_is_down_refuses_or_is_missing_is_named(
    step: str,
    etl: Etl,
    there: Callable[[], Any],
    registry_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(etl, step)
    for change, words, retried in REGISTRIES:
        with monkeypatch.context() as patch:
            Connections(patch).change_feast(FEAST_REGISTRY_URL=change(registry_url))
            line = refusal(etl, step, there, retried)
        assert re.search(f"the registry's database 127.0.0.1:.*{words}", line), line
        assert "wrong-s3cret" not in line
        assert str(urlsplit(registry_url).password) not in line
    completes(etl, step)


def reader(servers: Servers) -> str:
    servers.valkey.ask("ACL SETUSER reader on >reader ~* -@all +@read +ping +client|setinfo +select")
    return f"127.0.0.1:{servers.valkey.port},username=reader,password=reader"


@contextmanager
def as_set(servers: Servers, *commands: str, undo: tuple[str, ...]) -> Iterator[None]:
    for command in commands:
        assert servers.valkey.ask(command) == "+OK"
    try:
        yield
    finally:
        for command in undo:
            assert servers.valkey.ask(command) == "+OK"


@pytest.mark.parametrize("step", ["materialize", "verify"])
def test_an_online_store_that_is_down_or_gets_a_wrong_password_is_named(
    step: str, etl: Etl, there: Callable[[], Any], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, step)
    real = f"127.0.0.1:{servers.valkey.port}"
    for place, words, retried in (
        (NOWHERE, "cannot be reached", True),
        (real, "does not accept the sign-in", False),
    ):
        with monkeypatch.context() as patch:
            Connections(patch).change_feast(FEAST_ONLINE_STORE=f"{place},password=wrong-s3cret")
            line = refusal(etl, step, there, retried)
        assert f"the online store {place} {words}" in line
        assert "wrong-s3cret" not in line
    completes(etl, step)


def test_an_online_store_that_is_full_or_read_only_takes_the_rows_later(
    etl: Etl, there: Callable[[], Any], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(etl, "materialize")
    full = ("CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1")
    with as_set(servers, *full, undo=("CONFIG SET maxmemory 0",)):
        assert "is full: raise its maxmemory" in refusal(etl, "materialize", there, retried=True)
    with as_set(servers, "REPLICAOF 127.0.0.1 9", undo=("REPLICAOF NO ONE",)):
        assert "is a read-only replica" in refusal(etl, "materialize", there, retried=True)
    with monkeypatch.context() as patch:
        Connections(patch).change_feast(FEAST_ONLINE_STORE=reader(servers))
        line = refusal(etl, "materialize", there, retried=False)
        assert "does not let the account do this" in line
    etl.run("materialize", "verify")
    assert etl.facts["materialize"]["rows"] == 2
    assert etl.facts["verify"]["keys"] == 2


def test_a_git_server_that_is_down_declines_or_gets_a_wrong_password_is_named(
    etl: Etl,
    there: Callable[[], Any],
    servers: Servers,
    git_repository: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(etl, "version")
    for changes, words, retried in (
        ({"host": f"http://{NOWHERE}/jukebox.git"}, "git: .*unable to access", True),
        ({"password": "wrong-s3cret"}, "check the connection git_default", False),
    ):
        with monkeypatch.context() as patch:
            Connections(patch).change("GIT", **changes)
            line = refusal(etl, "version", there, retried)
        assert re.search(words, line), line
        assert "wrong-s3cret" not in line
    hook = servers.home / "git" / git_repository.url.rsplit("/", 1)[-1] / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'branch main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    line = refusal(etl, "version", there, retried=False)
    assert "branch main is protected" in line
    hook.unlink()
    completes(etl, "version")

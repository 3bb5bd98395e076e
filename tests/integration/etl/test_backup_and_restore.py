"""What docs/operations.md says of backups: its commands on real servers, and what the steps make of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from demo.git_environment import git_environment
from demo.postgres import binaries
from demo.servers import Servers
from feature_ops.settings import Settings
from tests.integration.conftest import GitRepository
from tests.integration.etl.steps import STEPS, TRACKS, Etl, apply_definitions, columns, put_source
from tests.unit.docs.pages import block

PAGE = "docs/operations.md"
BACK_UP = block(PAGE, "Back up and restore", "pg_dump")
RESTORE = block(PAGE, "Back up and restore", "pg_restore")
Objects = dict[str, tuple[bytes, dict[str, str]]]


class Refresh(Etl):
    """A run with ``full_refresh``."""

    def _operators(self) -> dict[str, Callable[[], Any]]:
        from feature_ops.assets import dataset_asset
        from feature_ops.feast.operators import MaterializeIncrementalOperator

        materialize = MaterializeIncrementalOperator(
            task_id="materialize", dataset=TRACKS, full_refresh=True, outlets=[dataset_asset(TRACKS)]
        )
        return {**super()._operators(), "materialize": lambda: materialize}


class Site:
    """The stores of a deployment, with what a person who keeps backups has at hand."""

    def __init__(self, servers: Servers, database: str, repository: GitRepository, backup: Path) -> None:
        self.servers, self.store = servers, servers.object_store
        self._database, self._repository = database, repository
        server = repository.url.rsplit("/", 1)[0]
        self._environment = {
            "PATH": os.pathsep.join([str(binaries()), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "HOME": str(backup.parent),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(servers.postgres.port),
            "PGUSER": "postgres",
            "PGPASSWORD": str(urlsplit(servers.postgres.admin_url("postgres")).password),
            "DATABASES": database,
            "GIT_URL": repository.url,
            "BACKUP": str(backup),
            **git_environment(server, repository.login, repository.password),
        }

    def shell(self, text: str, **variables: str) -> str:
        """Run commands of the page as they stand there."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=self._environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, bucket_uri: str) -> Objects:
        """Return a copy of a bucket: what ``aws s3 sync`` takes along."""
        return {
            item.uri: (self._content(item.uri), self.store.metadata(item.uri) or {})
            for item in self.store.list(f"{bucket_uri}/")
        }

    def empty(self, bucket_uri: str) -> None:
        """Remove everything that is in a bucket."""
        for item in list(self.store.list(f"{bucket_uri}/")):
            self.store.delete(item.uri)

    def put_back(self, objects: Objects) -> None:
        """Put a copy back."""
        for uri, (content, metadata) in objects.items():
            self.store.put_bytes(content, uri, metadata)

    def new_repository(self) -> None:
        """Have the git server forget the repository, and make it anew, empty."""
        name = self._repository.url.rsplit("/", 1)[-1]
        shutil.rmtree(self.servers.home / "git" / name)
        self.servers.create_repository(name.removesuffix(".git"))

    def ingest(self, *ids: str, run_id: str, steps: tuple[str, ...] = STEPS, kind: type[Etl] = Etl) -> Etl:
        """Run the ETL on a file of these songs."""
        etl = kind(put_source(self.store, columns(*ids)), run_id)
        etl.run(*steps)
        return etl

    def history(self) -> set[str]:
        """Return the names of the history's files."""
        return {item.name for item in self.store.list(TRACKS.uri)}

    def _content(self, uri: str) -> bytes:
        found = self.store.get_bytes(uri)
        assert found is not None
        return found[0]


@pytest.fixture
def site(
    servers: Servers, feature_repo: Path, registry_url: str, git_repository: GitRepository, tmp_path: Path
) -> Site:
    return Site(servers, urlsplit(registry_url).path[1:], git_repository, tmp_path / "backup")


def online(*ids: str) -> list[int | None]:
    """Return what predictions would read."""
    from feast import FeatureStore

    store = FeatureStore(repo_path=os.environ["FEATURE_OPS_FEATURE_REPO"])
    rows = [{"id": key} for key in ids]
    answer = store.get_online_features(store.get_feature_service("tracks_fs"), rows).to_dict()
    return list(answer["plays"])


def test_everything_is_restored_from_a_backup_by_the_pages_commands(site: Site, storage: Settings) -> None:
    """Back up, go on, lose all stores, restore, and do the steps that the page names."""
    site.ingest("a", "b", run_id="run 1")
    site.ingest("c", run_id="run 2")
    site.shell(BACK_UP)
    buckets = {**site.objects(storage.storage_uri), **site.objects(storage.dvc_remote_uri)}
    known = site.history()
    site.ingest("d", run_id="run 3")
    for bucket in (storage.storage_uri, storage.dvc_remote_uri):
        site.empty(bucket)
    site.new_repository()
    site.servers.valkey.flush()

    site.put_back(buckets)
    site.shell(RESTORE)
    site.ingest("a", "b", run_id="run 4", steps=("upload",))
    refreshed = site.ingest("a", "b", run_id="run 5", kind=Refresh)

    assert refreshed.facts["validate"]["new"] == 0
    assert refreshed.facts["materialize"]["rows"] == 3
    assert site.history() == known
    assert online("a", "b", "c", "d") == [1, 1, 1, None]
    # What came after the backup comes in like anything new.
    assert site.ingest("d", run_id="run 6").facts["verify"]["keys"] == 1
    assert online("d") == [1]


def test_an_emptied_valkey_is_filled_by_a_full_refresh(site: Site) -> None:
    site.ingest("a", run_id="run 1")
    site.servers.valkey.flush()

    with pytest.raises(AirflowSkipException, match="nothing to materialize"):
        site.ingest("a", run_id="run 2")
    assert online("a") == [None]
    assert site.ingest("a", run_id="run 3", kind=Refresh).facts["verify"]["keys"] == 1
    assert online("a") == [1]


def test_an_older_registry_has_the_newest_files_looked_at_again(site: Site) -> None:
    site.ingest("a", run_id="run 1")
    site.shell(BACK_UP)
    site.ingest("b", run_id="run 2")
    site.shell(RESTORE.split("\ngit ")[0])

    # Not skipped, as it would be if nothing were pending; the values are there already.
    assert site.ingest("a", run_id="run 3").facts["verify"]["keys"] == 1
    assert online("a", "b") == [1, 1]


def test_a_lost_registry_is_made_again_from_the_definitions_and_the_history(
    site: Site, feature_repo: Path, registry_url: str
) -> None:
    site.ingest("a", run_id="run 1")
    database = urlsplit(registry_url).path[1:]
    site.servers.drop_database(database)
    site.servers.create_database(database)

    with pytest.raises(AirflowFailException, match="no feature view of Feast's project"):
        site.ingest("a", run_id="run 2")
    apply_definitions(feature_repo)

    assert site.ingest("a", run_id="run 3").facts["materialize"]["rows"] == 1


def test_a_lost_history_comes_back_from_git_and_the_dvc_remote(site: Site, storage: Settings) -> None:
    site.ingest("a", run_id="run 1")
    known = site.history()
    site.empty(storage.storage_uri)

    site.ingest("a", run_id="run 2", steps=("upload",))

    assert site.history() == known
    with pytest.raises(AirflowSkipException, match="nothing to materialize"):
        site.ingest("a", run_id="run 3")


def test_a_lost_dvc_remote_is_filled_from_a_clone(site: Site, storage: Settings, tmp_path: Path) -> None:
    """By ``dvc push`` from a clone that has pulled the files."""
    site.ingest("a", run_id="run 1")
    clone = {"CLONE": str(tmp_path / "clone"), **site.store.environment()}
    site.shell('git clone --quiet "$GIT_URL" "$CLONE"; cd "$CLONE"; dvc pull --quiet', **clone)
    before = site.objects(storage.dvc_remote_uri)
    site.empty(storage.dvc_remote_uri)
    (name,) = site.history()
    site.store.delete(f"{TRACKS.uri}{name}")
    line = site.ingest("b", run_id="run 2").state["upload"]["summary"]
    assert f"git points to {name} (added by commit " in line
    assert "`dvc push` it from a clone that has it" in line
    assert online("b") == [1], "the other file went on"

    site.shell('cd "$CLONE"; dvc push --quiet', **clone)

    assert site.objects(storage.dvc_remote_uri).items() >= before.items()
    site.ingest("a", run_id="run 3", steps=STEPS[:4])
    assert len(site.history()) == 2
    assert name in site.history()


def test_files_that_an_older_repository_lacks_are_versioned_again(site: Site, storage: Settings) -> None:
    site.ingest("a", run_id="run 1")
    site.shell(BACK_UP)
    before = site.history()
    site.ingest("b", run_id="run 2")
    (lost,) = site.history() - before
    site.new_repository()
    site.shell(RESTORE.splitlines()[-1])

    etl = site.ingest("b", run_id="run 3", steps=STEPS[:4])

    assert etl.facts["validate"]["new"] == 0
    assert etl.facts["version"]["added"] == [lost]
    assert "left alone" not in etl.state["upload"]["summary"]
    assert not list(site.store.list(TRACKS.accepted_uri))


@pytest.fixture
def user(servers: Servers) -> Iterator[None]:
    """PostgreSQL's user `feast`, as the containers have it."""
    servers.create_database("feast")
    admin = servers.postgres.admin_url("postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("ALTER USER feast PASSWORD 'old'")
    yield
    servers.create_database("feast")


def test_a_database_password_is_changed_by_the_pages_command(site: Site, user: None) -> None:
    site.shell(block(PAGE, "Rotate secrets", "ALTER USER"), NEW_PASSWORD="new")

    place = f"127.0.0.1:{site.servers.postgres.port}/feast"
    psycopg.connect(f"postgresql://feast:new@{place}").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://feast:old@{place}")

"""The real servers, started once for the whole session, and fresh places on them for each test."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.servers import Servers
from feature_ops.settings import Settings, get_settings
from tests.support.warm_python import WarmPython


@dataclass(frozen=True)
class GitRepository:
    """An empty bare repository on the git server, and how to sign in."""

    url: str
    login: str
    password: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL, Valkey, S3 and git, in a temporary folder."""
    home = Path(tempfile.mkdtemp(prefix="feature-ops-tests-"))
    running = Servers(home)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """Starts programs in which everything that steps use is imported already."""
    started = WarmPython()
    yield started
    started.close()


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables, made once: its migrations take seconds."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{file}", f"sqlite:///{file}").search_registered_models()
    return file


@pytest.fixture
def mlflow_database(empty_mlflow_database: Path, tmp_path: Path) -> str:
    """Tracking URI of an SQLite file with MLflow's tables and nothing in them."""
    return f"sqlite:///{shutil.copy(empty_mlflow_database, tmp_path / 'mlflow.db')}"


@pytest.fixture(scope="session")
def mlflow_url(servers: Servers) -> str:
    """Address of an MLflow server, started at the first test that wants one."""
    servers.mlflow.start()
    return servers.mlflow.url


@pytest.fixture
def storage(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings that point to a fresh pair of buckets: one for data, one for DVC."""
    name = f"test-{secrets.token_hex(4)}"
    for bucket in (name, f"{name}-cache"):
        servers.create_bucket(bucket)
    monkeypatch.setenv("FEATURE_OPS_STORAGE_URI", f"s3://{name}")
    monkeypatch.setenv("FEATURE_OPS_DVC_REMOTE_URI", f"s3://{name}-cache")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()
    for bucket in (name, f"{name}-cache"):
        servers.remove_bucket(bucket)


@pytest.fixture
def registry_url(servers: Servers) -> Iterator[str]:
    """SQLAlchemy URL of a fresh database for Feast's registry."""
    name = f"feast_{secrets.token_hex(4)}"
    yield servers.create_database(name)
    servers.drop_database(name)


@pytest.fixture
def online_store(servers: Servers) -> str:
    """Feast's connection string of an online store that holds nothing."""
    servers.valkey.flush()
    return servers.online_store


@pytest.fixture
def git_repository(servers: Servers) -> GitRepository:
    """A fresh bare repository."""
    url = servers.create_repository(f"test-{secrets.token_hex(4)}")
    return GitRepository(url, servers.git_login, servers.git_password)


@pytest.fixture
def airflow_connections(
    servers: Servers,
    storage: Settings,
    registry_url: str,
    online_store: str,
    git_repository: GitRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The three Airflow connections, in the environment, pointing to this test's fresh places."""
    from demo.connections import connection_variables

    variables = connection_variables(
        object_store=servers.object_store,
        git_url=git_repository.url,
        git_login=git_repository.login,
        git_password=git_repository.password,
        feast_environment={"FEAST_REGISTRY_URL": registry_url, "FEAST_ONLINE_STORE": online_store},
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

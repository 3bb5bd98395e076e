"""docs/your-own-feature-store.md, followed word for word in a fresh copy of the project."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from feast import FeatureStore

from demo.git_environment import git_environment
from demo.servers import Servers
from tests.integration.conftest import GitRepository
from tests.integration.your_own.guide import blocks, script, unseen

if TYPE_CHECKING:
    from conftest import Team

PROJECT = Path(__file__).resolve().parents[3]
GUIDE = PROJECT / "docs" / "your-own-feature-store.md"
BUCKETS = ("data", "data-cache")


@pytest.fixture
def buckets(servers: Servers) -> Iterator[None]:
    """The buckets that the page speaks of."""
    for bucket in BUCKETS:
        servers.create_bucket(bucket)
    yield
    for bucket in BUCKETS:
        servers.remove_bucket(bucket)


@pytest.fixture
def copy(
    make_team: Callable[[Path, Path], Team],
    buckets: None,
    git_repository: GitRepository,
    mlflow_url: str,
    servers: Servers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Team:
    """A copy of what belongs to the project, and a shell that knows where the servers are."""
    for part in ("dags", "plugins", "feature_repo"):
        shutil.copytree(PROJECT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("AIRFLOW_CONN_AWS_DEFAULT", "AIRFLOW_CONN_GIT_DEFAULT", "AIRFLOW_CONN_FEAST_DEFAULT"):
        monkeypatch.delenv(name)
    for name in ("FEATURE_OPS_STORAGE_URI", "FEATURE_OPS_DVC_REMOTE_URI"):
        monkeypatch.delenv(name)
    shell = {
        "GIT_URL": git_repository.url,
        "GIT_LOGIN": git_repository.login,
        "GIT_TOKEN": git_repository.password,
        "MLFLOW_TRACKING_URI": mlflow_url,
        **git_environment(servers.git.url, git_repository.login, git_repository.password),
    }
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    return make_team(tmp_path, tmp_path / "plugins")


def online(team: Team, view: str) -> dict[str, Any]:
    store = FeatureStore(repo_path=str(team.folder / "feature_repo"))
    features = [f.name for f in store.get_feature_view(view).features]
    keys = [{"driver_id": driver} for driver in range(1001, 1006)]
    asked = [f"{view}:{name}" for name in features]
    return store.get_online_features(asked, keys).to_dict()


# Four runs of DAGs and a training: a minute and a half alone, much longer beside other tests.
@pytest.mark.timeout(900)
def test_the_page_leads_from_feast_init_to_both_dags(copy: Team) -> None:
    found = blocks(GUIDE)
    (copy.folder / "guide.sh").write_text(script(found))
    done = subprocess.run(
        ["bash", "guide.sh"],
        cwd=copy.folder,
        env=copy.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert list(unseen(found, done.stdout)) == []

    file = copy.folder / "drivers" / "feature_repo" / "data" / "driver_stats.parquet"
    newest = pd.read_parquet(file).sort_values("event_timestamp").groupby("driver_id").last()
    for view in ("driver_hourly_stats", "driver_hourly_stats_fresh"):
        answer = online(copy, view)
        assert answer["driver_id"] == list(newest.index)
        for name in ("conv_rate", "acc_rate", "avg_daily_trips", "driver_metadata", "driver_profile"):
            assert answer[name] == list(newest[name]), (view, name)

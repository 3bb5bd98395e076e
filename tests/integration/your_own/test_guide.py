"""docs/your-own-feature-store.md, followed word for word in a fresh copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore

from demo.servers import Servers
from tests.integration.conftest import GitRepository
from tests.integration.your_own.guide import blocks, script, unseen

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


@dataclass(frozen=True)
class Newcomer:
    """
    A reader of the page: a copy of the project, and a shell with what the page asks for and nothing else.

    :param folder: the copy, which is itself a git checkout with a remote, as a fresh clone is.
    """

    folder: Path
    shell: dict[str, str]

    def follow(self, text: str, *, check: bool = True) -> str:
        """Run commands in the reader's shell; returns what they printed."""
        (self.folder / "guide.sh").write_text(text)
        done = subprocess.run(
            ["bash", "guide.sh"],
            cwd=self.folder,
            env=self.shell,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-20_000:]
        return done.stdout


def shell_of_the_page(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment that holds only what the page names, and what every login shell has."""
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@localhost\n")
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", GUIDE.read_text()))
    assert set(variables) <= named, f"the page does not name {set(variables) - named}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **variables}


def checkout(folder: Path) -> Path:
    """Copy what belongs to the project into a git checkout that has a remote; returns the remote."""
    for part in ("dags", "plugins", "feature_repo"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    remote = folder.parent / f"{folder.name}-origin.git"
    as_ada = {
        **os.environ,
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Ada",
    }
    as_ada |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "ada@localhost"}
    for command in (
        ("git", "init", "--quiet", "--bare", "--initial-branch=main", str(remote)),
        ("git", "init", "--quiet", "--initial-branch=main", "."),
        ("git", "add", "--all", "."),
        ("git", "commit", "--quiet", "--message", "The project"),
        ("git", "remote", "add", "origin", str(remote)),
        ("git", "push", "--quiet", "origin", "main"),
    ):
        subprocess.run(command, cwd=folder, env=as_ada, check=True, capture_output=True)
    return remote


def commits(repository: Path) -> str:
    """Return every commit and reference of a repository."""
    done = subprocess.run(
        ["git", "-C", str(repository), "log", "--all", "--format=%H %D"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def newcomer(
    servers: Servers,
    buckets: None,
    registry_url: str,
    online_store: str,
    git_repository: GitRepository,
    mlflow_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Newcomer:
    """A reader with the servers that the page asks for."""
    folder = tmp_path / "copy"
    checkout(folder)
    store = servers.object_store.environment()
    variables = {
        **{name: store[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        "GIT_URL": git_repository.url,
        "GIT_LOGIN": git_repository.login,
        "GIT_TOKEN": git_repository.password,
        "FEAST_REGISTRY_URL": registry_url,
        "FEAST_ONLINE_STORE": online_store,
        "MLFLOW_TRACKING_URI": mlflow_url,
    }
    # The test itself reads the features by the same addresses.
    for name in ("FEAST_REGISTRY_URL", "FEAST_ONLINE_STORE"):
        monkeypatch.setenv(name, variables[name])
    return Newcomer(folder, shell_of_the_page(tmp_path / "home", **variables))


def online(reader: Newcomer, view: str) -> dict[str, Any]:
    store = FeatureStore(repo_path=str(reader.folder / "feature_repo"))
    features = [f.name for f in store.get_feature_view(view).features]
    keys = [{"driver_id": driver} for driver in range(1001, 1006)]
    asked = [f"{view}:{name}" for name in features]
    return store.get_online_features(asked, keys).to_dict()


# Four runs of DAGs and a training: a minute and a half alone, much longer beside other tests.
@pytest.mark.timeout(1600)
def test_the_page_leads_from_feast_init_to_both_dags(newcomer: Newcomer) -> None:
    before = commits(newcomer.folder)
    found = blocks(GUIDE)
    said = newcomer.follow(script(found))
    assert list(unseen(found, said)) == []

    file = newcomer.folder / "drivers" / "feature_repo" / "data" / "driver_stats.parquet"
    newest = pd.read_parquet(file).sort_values("event_timestamp").groupby("driver_id").last()
    for view in ("driver_hourly_stats", "driver_hourly_stats_fresh"):
        answer = online(newcomer, view)
        assert answer["driver_id"] == list(newest.index)
        for name in ("conv_rate", "acc_rate", "avg_daily_trips", "driver_metadata", "driver_profile"):
            assert answer[name] == list(newest[name]), (view, name)
    assert commits(newcomer.folder) == before, "the checkout around the clone is untouched"


@pytest.mark.parametrize("fails", ["clone", "push"])
def test_commands_pasted_after_a_failed_one_commit_and_push_nothing_elsewhere(
    tmp_path: Path, fails: str
) -> None:
    """Each block is pasted into a shell that goes on after an error, as a terminal does."""
    folder, own = tmp_path / "copy", tmp_path / "own.git"
    remote = checkout(folder)
    subprocess.run(["git", "init", "--quiet", "--bare", str(own)], check=True)
    if fails == "push":
        (own / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
        (own / "hooks" / "pre-receive").chmod(0o755)
    url = own.as_uri() if fails == "push" else (tmp_path / "missing.git").as_uri()
    reader = Newcomer(
        folder, shell_of_the_page(tmp_path / "home", GIT_URL=url, GIT_LOGIN="me", GIT_TOKEN="guess")
    )
    programs = "airflow() { echo ran airflow; }; feast() { :; }\n"
    git_blocks = [one.script() for one in blocks(GUIDE) if one.kind == "bash" and "git -C" in one.content]
    exports = [one.script() for one in blocks(GUIDE) if "GIT_CEILING_DIRECTORIES" in one.content]
    assert len(git_blocks) >= 3, "the page has a clone, a change and a model"

    before = commits(folder), commits(remote)
    said = reader.follow(programs + "\n".join([*exports, *git_blocks]), check=False)

    assert (commits(folder), commits(remote)) == before, said
    assert commits(own) == ""
    assert "ran airflow" not in said

"""Airflow as a person runs it on a laptop: a database file of its own, and DAGs one run at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.settings import get_settings
from tests.integration.conftest import GitRepository
from tests.support.warm_python import WarmPython

PROJECT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent


@dataclass
class Team:
    """
    Another team: a folder with its DAGs and its feature repository, and a clone that it pushes from.

    :param folder: holds ``dags`` and ``feature_repo``.
    :param plugins: the package that it uses as it is.
    """

    folder: Path
    plugins: Path
    bare: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a shell of theirs has, beside the connections."""
        return {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(self.plugins),
            "FEATURE_OPS_FEATURE_REPO": str(self.folder / "feature_repo"),
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@localhost",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@localhost",
        }

    @contextmanager
    def airflow(self) -> Iterator[Callable[..., str]]:
        """
        Make Airflow's database; yields a function that runs a DAG to its end and returns what was logged.

        The function does what ``airflow dags test`` does, in a fork of a process that has imported Airflow.
        """
        self.call("airflow", "db", "migrate")
        modules = ("airflow.__main__", "airflow.cli.commands.dag_command", "airflow.settings")
        warm = WarmPython({**self.environment, "PYTHONPATH": f"{self.plugins}{os.pathsep}{PROJECT}"}, modules)

        def run(dag_id: str, **conf: Any) -> str:
            arguments = ("dags", "test", dag_id, "--conf", json.dumps(conf))
            code = "import sys; sys.argv[0] = 'airflow'; from airflow.__main__ import main; main()"
            program = warm.start(code, *arguments, environment=self.environment, folder=self.folder)
            said, errors = program.communicate(240)
            assert program.wait(240) == 0, f"{dag_id} failed:\n{said}\n{errors}"
            return said

        try:
            yield run
        finally:
            warm.close()

    def push(self, subject: str, folder: Path) -> str:
        """Push what is in a folder as the repository's only content; returns the commit."""
        git = ("git", "--git-dir", str(self.bare), "--work-tree", str(folder))
        self.call(*git, "read-tree", "--empty")
        self.call(*git, "add", "--all", "--force", ".")
        tree = self.call(*git, "write-tree").strip()
        head = self.call(*git, "rev-parse", "--quiet", "--verify", "main", check=False).strip()
        parents = ("-p", head) if head else ()
        commit = self.call(*git, "commit-tree", tree, *parents, "-m", subject).strip()
        self.call(*git, "update-ref", "refs/heads/main", commit)
        return commit

    def call(self, *command: str, check: bool = True) -> str:
        """Run a command in their shell; fails with all that it said."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def make_team(
    servers: Servers,
    airflow_connections: None,
    registry_url: str,
    online_store: str,
    git_repository: GitRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path, Path], Team]:
    """Make a team with an empty repository and empty stores."""

    def make(folder: Path, plugins: Path = PROJECT / "plugins") -> Team:
        variables = {
            **servers.object_store.environment(),
            "FEAST_REGISTRY_URL": registry_url,
            "FEAST_ONLINE_STORE": online_store,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        bare = servers.home / "git" / git_repository.url.rsplit("/", 1)[-1]
        return Team(folder, plugins, bare)

    return make

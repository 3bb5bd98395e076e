"""
Each remedy that a line gives is followed to the letter, and ends in the state before the damage.

The table is the list of remedies in docs/operations.md that concern the copies of a dataset's files.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from demo.servers import Servers
from feature_ops.dvc.complete_history import complete_history
from feature_ops.dvc.operators import CheckCopiesOperator
from feature_ops.feast.ledger import Ledger
from feature_ops.settings import Settings
from tests.integration.conftest import GitRepository
from tests.integration.etl.steps import STEPS, TRACKS, Etl, TaskStateStandIn, columns, put_source

Rows = list[tuple[str, int]]


class Site:
    """The stores after two runs of the ETL, and what a user does with them."""

    def __init__(self, servers: Servers, settings: Settings, bare: Path, folder: Path, registry: str) -> None:
        self.store, self.settings, self.bare = servers.object_store, settings, bare
        self.work, self.registry_url, self.runs = folder / "clone", registry, 0
        self.url = put_source(self.store, columns("a", "b"))
        self.other_url = put_source(self.store, columns("c"))
        self.lines: dict[str, str] = {}
        self.run(self.url, *STEPS[:4])
        (self.name,) = self.names()
        self.run(self.other_url)
        self.remote_uri = next(item.uri for item in self.store.list(f"{settings.dvc_remote_uri}/"))
        for item in self.store.list(f"{settings.dvc_remote_uri}/"):
            if self.content(item.uri) == self.content(self.history_uri):
                self.remote_uri = item.uri

    @property
    def history_uri(self) -> str:
        return f"{TRACKS.uri}{self.name}"

    @property
    def pointer(self) -> str:
        return f"{TRACKS.pointer_folder}/{self.name}.dvc"

    def names(self) -> list[str]:
        return [item.name for item in self.store.list(TRACKS.uri)]

    def content(self, uri: str) -> bytes:
        found = self.store.get_bytes(uri)
        assert found is not None, uri
        return found[0]

    def run(self, url: str, *steps: str) -> Etl:
        """Run the DAG: what follows a failed or skipped step is not run."""
        self.runs += 1
        etl = Etl(url, f"run {self.runs}")
        try:
            etl.run(*(steps or STEPS))
        except (AirflowFailException, AirflowSkipException) as end:
            self.lines["failed" if isinstance(end, AirflowFailException) else "skipped"] = str(end)
        for step, state in etl.state.items():
            self.lines[step] = str(state.get("summary", ""))
        return etl

    def failure(self, url: str) -> str:
        """Run the DAG, which must fail; returns its line."""
        self.lines.pop("failed", None)
        self.run(url)
        return self.lines["failed"]

    def check(self) -> str:
        """Run the scheduled check; returns its line."""
        state = TaskStateStandIn()
        operator = CheckCopiesOperator(task_id="check_copies", dataset=TRACKS)
        context: Any = {"task_state_store": state, "dag_run": SimpleNamespace(run_id="check")}
        try:
            operator.execute(context)
        except AirflowFailException:
            assert (operator.status(None) or {})["copies"]["problems"]
        return str(state["summary"])

    def rows(self) -> Rows:
        """Return keys and values of all rows of the history."""
        files = [pq.read_table(io.BytesIO(self.content(item.uri))) for item in self.store.list(TRACKS.uri)]
        return sorted((row["id"], row["plays"]) for file in files for row in file.to_pylist())

    def state(self) -> dict[str, Any]:
        """Return what must be the same after the remedy."""
        tree = self.git("--git-dir", str(self.bare), "ls-tree", "-r", "main").splitlines()
        objects = self.store.list(f"{self.settings.dvc_remote_uri}/")
        return {
            "history": {item.uri: self.content(item.uri) for item in self.store.list(TRACKS.uri)},
            "remote": {item.uri: self.content(item.uri) for item in objects},
            "accepted": [item.uri for item in self.store.list(TRACKS.accepted_uri)],
            "git": tree,
            "ledger": sorted(Ledger(self.registry_url).online("radio", "tracks")),
        }

    def push(self, *commands: list[str]) -> None:
        """Change the repository in a clone, as a user does."""
        if not self.work.exists():
            self.git("clone", "--quiet", "--branch", "main", str(self.bare), str(self.work))
        self.git("-C", str(self.work), "pull", "--quiet")
        for command in commands:
            self.git("-C", str(self.work), *command)
        self.git("-C", str(self.work), "push", "--quiet", "origin", "main")

    def remove_pointer(self) -> None:
        self.push(["rm", "--quiet", self.pointer], ["commit", "--quiet", "--message", "Remove a pointer"])

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout


@pytest.fixture
def site(
    servers: Servers,
    feature_repo: Path,
    storage: Settings,
    registry_url: str,
    git_repository: GitRepository,
    tmp_path: Path,
) -> Site:
    bare = servers.home / "git" / git_repository.url.rsplit("/", 1)[-1]
    return Site(servers, storage, bare, tmp_path, registry_url)


@dataclass(frozen=True)
class Remedy:
    """
    A damage, the line that reports it, and what a user does about it.

    :param damage: what happens to the stores.
    :param line: words of the line of a run with a file that is known.
    :param follow: what the line says, but for running the DAG again, which follows.
    """

    damage: Callable[[Site], None]
    line: str
    follow: Callable[[Site], None]


def damaged(site: Site) -> None:
    content = site.content(site.history_uri)
    site.store.put_bytes(content[:4] + b"\xff" * 200 + content[204:], site.history_uri)


def stray(site: Site) -> None:
    site.store.put_bytes(b"PAR1 half", f"{TRACKS.uri}upload-17.parquet")


REMEDIES = {
    "a damaged file of the history": Remedy(
        damaged,
        "is damaged: it does not hold what its name says. Remove it and run the DAG again, which puts it",
        lambda site: site.store.delete(site.history_uri),
    ),
    "a half-written file of the history": Remedy(
        lambda site: site.store.put_bytes(site.content(site.history_uri)[:100], site.history_uri),
        "is damaged: it does not hold what its name says. Remove it and run the DAG again, which puts it",
        lambda site: site.store.delete(site.history_uri),
    ),
    "a file that no step has written": Remedy(
        stray,
        "upload-17.parquet is not a whole parquet file (",
        lambda site: site.store.delete(f"{TRACKS.uri}upload-17.parquet"),
    ),
    "what was accepted last is not readable": Remedy(
        lambda site: site.store.put_bytes(b"{", f"{TRACKS.acceptance_uri}latest.json"),
        "does not say which file was accepted last: restore what it was, or remove it while no run validates",
        lambda site: site.store.delete(f"{TRACKS.acceptance_uri}latest.json"),
    ),
}


def test_a_damage_that_stops_a_run_is_repaired_by_its_remedy_and_the_same_file(site: Site) -> None:
    before, rows = site.state(), site.rows()
    for case, remedy in REMEDIES.items():
        remedy.damage(site)

        assert remedy.line in site.failure(site.url), case
        remedy.follow(site)
        site.run(site.url, *STEPS[:4])

        assert site.rows() == rows == [("a", 1), ("b", 1), ("c", 1)], case
        assert site.state() == before, case
    assert site.check() == "git, the DVC remote and the history agree on 2 files"

    # Where a user has removed the pointer, it stays removed.
    site.remove_pointer()
    site.run(site.url, *STEPS[:4])
    assert f"left alone, as git does not point to them: {site.name}" in site.lines["upload"]
    assert site.check() == "git, the DVC remote and the history agree on 1 file"
    damaged(site)
    assert "where git does not point to it, ingest its source again" in site.failure(site.url)
    site.store.delete(site.history_uri)
    site.run(site.url, *STEPS[:4])
    assert site.lines["validate"] == "2 new rows, 0 already known"
    assert site.rows() == rows


def lost(site: Site) -> None:
    """Take both copies of a file away; only git still knows of it."""
    site.store.delete(site.history_uri)
    site.store.delete(site.remote_uri)


def broken_pointer(site: Site) -> None:
    site.push()
    (site.work / site.pointer).write_text("<<<<<<< HEAD\n")
    site.push(["commit", "--quiet", "--all", "--message", "Merge badly"])


def cut_off_remote(site: Site) -> None:
    site.store.put_bytes(b"cut", site.remote_uri)


def restored_pointer(site: Site) -> None:
    command = next(line for line in site.check().split("; ") if "git checkout" in line).partition("push: ")[2]
    subprocess.run(["bash", "-c", command], cwd=site.work, check=True, timeout=60)
    site.push(["commit", "--quiet", "--message", "Restore the pointer"])


REPORTED = {
    "a pointer that cannot be followed": Remedy(
        broken_pointer, "is no pointer to the one file beside it", restored_pointer
    ),
    "a cut-off object on the DVC remote": Remedy(
        cut_off_remote,
        "has 3 bytes, but its pointer in git says",
        lambda site: site.store.delete(site.remote_uri),
    ),
}


def test_a_damage_of_one_copy_stops_no_other_file_and_is_repaired_by_its_remedy(
    site: Site, tmp_path: Path
) -> None:
    before = site.state()
    site.store.delete(site.history_uri)
    assert site.check() == f"restored 1 file in the history, 0 on the DVC remote, 0 in git: {site.name}"
    site.store.delete(site.remote_uri)
    assert site.check() == f"restored 0 files in the history, 1 on the DVC remote, 0 in git: {site.name}"
    assert site.state() == before
    for case, remedy in REPORTED.items():
        remedy.damage(site)
        site.run(site.url, "upload")
        assert remedy.line in site.lines["upload"], case
        assert remedy.line in site.check(), case
        remedy.follow(site)
        site.check()
        assert {**site.state(), "git": ""} == {**before, "git": ""}, case

    # A training is refused while a file is lost, and only then.
    site.store.delete(site.history_uri)
    done = complete_history(TRACKS, site.store, tmp_path / "one", compare_sizes=True)
    assert (done.restored, done.missing) == ((site.name,), ())
    lost(site)
    done = complete_history(TRACKS, site.store, tmp_path / "two", compare_sizes=True)
    assert (done.restored, done.missing) == ((), (site.name,))
    line = f"git points to {site.name} (added by commit "
    assert done.problems[0].startswith(line)

    etl = site.run(put_source(site.store, columns("new")))
    assert etl.facts["verify"]["keys"] == 1, "new rows are online"
    assert line in site.lines["upload"]
    assert "or remove its pointer" in site.check()
    source = site.check().partition(", from ")[2].partition(")")[0]
    assert source == site.url
    site.remove_pointer()
    site.run(source, *STEPS[:4])
    assert site.lines["validate"] == "2 new rows, 0 already known"
    assert site.check() == "git, the DVC remote and the history agree on 3 files"
    assert site.rows() == [("a", 1), ("b", 1), ("c", 1), ("new", 1)]

"""A repository that is looked at for days."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.errors import GitError
from feature_ops.git.heads import WatchedRepository
from feature_ops.git.path_watch import NO_COMMIT
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    made = Clone(tmp_path)
    made.commit("first", {"a": "1", "b": "1"})
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    connect(monkeypatch, made.url)
    yield made
    get_settings.cache_clear()


def connect(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": host}))


def scratch_folders() -> set[str]:
    work = get_settings().work_dir
    assert work
    return {path.name for path in work.iterdir()} if work.exists() else set()


def test_a_look_keeps_its_scratch_folder_until_it_is_closed(clone: Clone) -> None:
    repository = WatchedRepository("git_default")
    assert scratch_folders() == set()
    heads = repository.heads()
    kept = scratch_folders()
    assert len(kept) == 1
    assert (repository.heads(), scratch_folders()) == (heads, kept)
    repository.close()
    assert scratch_folders() == set()


def test_the_connection_is_read_again_now_and_then(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = Clone(tmp_path / "other")
    other.commit("elsewhere", {"c": "1"})
    lasting, renewed = WatchedRepository("git_default"), WatchedRepository("git_default", renewal=0)
    before = [repository.heads() for repository in (lasting, renewed)]
    connect(monkeypatch, other.url)
    after = [repository.heads() for repository in (lasting, renewed)]
    assert before[0] == before[1] == after[0] != after[1]
    assert (lasting.name, renewed.name) == (clone.url, other.url)
    lasting.close()
    renewed.close()


def test_a_failure_makes_everything_anew(clone: Clone) -> None:
    repository = WatchedRepository("git_default")
    repository.heads()
    (before,) = scratch_folders()
    away = clone.bare.with_name("away.git")
    clone.bare.rename(away)
    with pytest.raises(GitError):
        repository.heads()
    assert scratch_folders() == set()
    away.rename(clone.bare)
    repository.heads()
    assert before not in scratch_folders()
    repository.close()


def test_a_change_tells_its_paths_all_of_them_before_the_first_commit(clone: Clone) -> None:
    first = clone.git("rev-parse", "HEAD")
    second = clone.commit("second", {"b": "2"})
    repository = WatchedRepository("git_default")
    assert repository.change(first, second).paths == ("b",)
    assert repository.change(NO_COMMIT, second).paths == ("a", "b")
    assert repository.change("1" * 40, second).paths is None
    with pytest.raises(BadInputError, match=r"1{40}"):
        repository.change(second, "1" * 40)
    repository.close()

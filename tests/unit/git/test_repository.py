"""Commits on top of a remote branch, against real bare repositories on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.errors import DeclinedError, MovedError, NoRepositoryError, UnreachableError
from feature_ops.git.repository import Author, Remote, Repository
from tests.unit.bare_repository import git

AUTHOR = Author("Ada", "ada@localhost")


def opened(bare: Path, name: str = "work", branch: str = "main") -> Repository:
    return Repository(bare.parent / name, Remote(f"file://{bare}", branch))


def test_an_empty_repository_gets_its_first_branch(bare: Path) -> None:
    repository = opened(bare)
    assert repository.fetch() is None
    assert repository.names("data") == []
    commit = repository.publish(lambda: repository.commit({"data/a": b"1"}, "first", AUTHOR))
    assert git(bare, "rev-parse", "main").strip() == commit
    assert git(bare, "show", "main:data/a") == "1"


def test_a_commit_has_its_author_committer_and_message(bare: Path) -> None:
    repository = opened(bare)
    repository.publish(lambda: repository.commit({"a": b"1"}, "subject\n\nRun-Id: 7\n", AUTHOR))
    told = git(bare, "log", "-1", "--format=%an %ae %cn %ce %s %(trailers:key=Run-Id,valueonly)", "main")
    assert told.split() == ["Ada", "ada@localhost", "Ada", "ada@localhost", "subject", "7"]


def test_d3_no_empty_commit(bare: Path) -> None:
    repository = opened(bare)
    first = repository.publish(lambda: repository.commit({"a": b"1"}, "first", AUTHOR))
    again = opened(bare, "again")
    assert again.publish(lambda: again.commit({"a": b"1"}, "again", AUTHOR)) == first
    assert git(bare, "rev-list", "--count", "main").strip() == "1"


def test_files_are_listed_and_read_without_a_work_tree(bare: Path) -> None:
    writer = opened(bare, "writer")
    files = {"data/a": b"1", "data/b": b"2", "data/deep/c": b"3", "d": b"4", "data/with space ü": b"5"}
    writer.publish(lambda: writer.commit(files, "files", AUTHOR))
    reader = opened(bare, "reader")
    reader.fetch()
    assert reader.names("data") == ["a", "b", "with space ü"]
    assert reader.names("nowhere") == []
    assert reader.read(["data/a", "data/with space ü", "d", "missing"]) == {
        "data/a": b"1",
        "data/with space ü": b"5",
        "d": b"4",
    }


def test_only_the_newest_commit_is_fetched_and_no_file_before_it_is_read(bare: Path) -> None:
    writer = opened(bare, "writer")
    for number in range(3):
        writer.publish(lambda n=number: writer.commit({f"f{n}": b"%d" % n}, f"number {n}", AUTHOR))
    reader = opened(bare, "reader")
    reader.fetch()
    folder = bare.parent / "reader"
    assert git(folder, "rev-list", "--count", str(reader.head)).strip() == "1"
    missing = git(folder, "rev-list", "--objects", "--missing=print", str(reader.head)).count("?")
    assert missing == 3


def test_d9_a_push_that_lost_the_race_starts_again_from_the_newest_commit(bare: Path) -> None:
    slow, fast = opened(bare, "slow"), opened(bare, "fast")
    fast.publish(lambda: fast.commit({"a": b"1"}, "a", AUTHOR))
    calls = []

    def add_missing() -> None:
        calls.append(1)
        if len(calls) == 1:
            fast.publish(lambda: fast.commit({"b": b"2"}, "b", AUTHOR))
        slow.commit({"c": b"3"}, "c", AUTHOR)

    slow.publish(add_missing)
    assert len(calls) == 3  # refused, taken, seen to be there
    assert git(bare, "ls-tree", "--name-only", "main").split() == ["a", "b", "c"]
    assert git(bare, "rev-list", "--merges", "main") == ""


def test_what_others_pushed_since_the_last_fetch_stays_below_ones_own(bare: Path) -> None:
    slow, fast = opened(bare, "slow"), opened(bare, "fast")
    fast.publish(lambda: fast.commit({"a": b"1"}, "a", AUTHOR))
    slow.fetch()
    fast.publish(lambda: fast.commit({"b": b"2"}, "b", AUTHOR))
    commit = slow.publish(lambda: slow.commit({"c": b"3"}, "c", AUTHOR))
    assert git(bare, "log", "--format=%s", "main").split() == ["c", "b", "a"]
    assert git(bare, "ls-tree", "--name-only", "main").split() == ["a", "b", "c"]
    assert git(bare, "rev-parse", "main").strip() == commit


def test_a_push_of_a_stale_head_is_told_apart(bare: Path) -> None:
    slow, fast = opened(bare, "slow"), opened(bare, "fast")
    slow.fetch()
    fast.publish(lambda: fast.commit({"a": b"1"}, "a", AUTHOR))
    slow.commit({"b": b"2"}, "b", AUTHOR)
    with pytest.raises(MovedError):
        slow.push()


def test_a_server_that_says_ok_to_the_loser_of_a_race_is_not_believed(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = opened(bare)
    honest, pushes = repository.push, []

    def push_to_nowhere_first() -> None:
        pushes.append(1)
        if len(pushes) > 1:
            honest()

    monkeypatch.setattr(repository, "push", push_to_nowhere_first)
    commit = repository.publish(lambda: repository.commit({"a": b"1"}, "a", AUTHOR))
    assert len(pushes) == 2
    assert git(bare, "rev-parse", "main").strip() == commit


def test_a_push_whose_answer_was_lost_is_found_to_have_arrived(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = opened(bare)
    honest, pushes = repository.push, []

    def push_and_hear_nothing() -> None:
        pushes.append(1)
        honest()
        raise UnreachableError("the remote end hung up")

    monkeypatch.setattr(repository, "push", push_and_hear_nothing)
    commit = repository.publish(lambda: repository.commit({"a": b"1"}, "a", AUTHOR))
    assert len(pushes) == 1
    assert git(bare, "rev-list", "main").split() == [commit]


def test_a_push_that_did_not_arrive_is_not_tried_for_ever(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, pushes = opened(bare), []

    def push_in_vain() -> None:
        pushes.append(1)
        raise UnreachableError("the remote end hung up")

    monkeypatch.setattr(repository, "push", push_in_vain)
    with pytest.raises(UnreachableError, match="hung up"):
        repository.publish(lambda: repository.commit({"a": b"1"}, "a", AUTHOR))
    assert len(pushes) == 1


def test_endless_competition_ends_with_an_error(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = opened(bare)
    monkeypatch.setattr(repository, "push", lambda: None)
    with pytest.raises(MovedError, match="moved 3 times"):
        repository.publish(lambda: repository.commit({"a": b"1"}, "a", AUTHOR), attempts=3)


def test_a_protected_branch_is_bad_input_that_names_the_servers_reason(bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = opened(bare)
    with pytest.raises(DeclinedError, match="main is protected") as caught:
        repository.publish(lambda: repository.commit({"a": b"1"}, "a", AUTHOR))
    assert isinstance(caught.value, BadInputError)


def test_a_missing_repository_is_bad_input(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work", Remote(f"file://{tmp_path}/none.git", "main"))
    with pytest.raises(NoRepositoryError):
        repository.fetch()


def test_a_missing_branch_is_not_mistaken_for_an_empty_repository(bare: Path) -> None:
    writer = opened(bare, "writer", "master")
    writer.publish(lambda: writer.commit({"a": b"1"}, "a", AUTHOR))
    with pytest.raises(NoRepositoryError, match=r"no branch 'main' \(there are: master\)"):
        opened(bare).fetch()

"""A whole folder is read in one request, and the history is looked into without any file."""

from __future__ import annotations

from pathlib import Path

from feature_ops.git.repository import Author, Remote, Repository
from tests.unit.bare_repository import git

AUTHOR = Author("Ada", "ada@localhost")


def opened(bare: Path, name: str) -> Repository:
    return Repository(bare.parent / name, Remote(f"file://{bare}", "main"))


def test_a_folder_is_read_whole_and_nothing_below_it(bare: Path) -> None:
    writer = opened(bare, "writer")
    files = {"data/a": b"1\n", "data/b": b"", "data/ü": b"\x00\nx", "data/deep/c": b"3", "d": b"4"}
    writer.publish(lambda: writer.commit(files, "files", AUTHOR))
    reader = opened(bare, "reader")
    reader.fetch()
    assert reader.read_folder("data") == {"a": b"1\n", "b": b"", "ü": b"\x00\nx"}
    assert reader.read_folder("nowhere") == {}


def test_a_repository_without_a_commit_has_no_files_and_no_changes(bare: Path) -> None:
    reader = opened(bare, "reader")
    reader.fetch()
    assert reader.read_folder("data") == {}
    assert reader.last_change("data/a", "A") is None


def test_the_commits_that_added_and_deleted_a_file_are_found_behind_a_shallow_head(bare: Path) -> None:
    writer = opened(bare, "writer")
    added = writer.publish(lambda: writer.commit({"data/a": b"1"}, "add a\n\nSource: x\n", AUTHOR))
    writer.publish(lambda: writer.commit({"data/b": b"2"}, "add b", AUTHOR))
    work = bare.parent / "person"
    git(bare.parent, "clone", "--quiet", "--branch", "main", str(bare), str(work))
    git(work, "rm", "--quiet", "data/a")
    git(work, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "remove a")
    git(work, "push", "--quiet", "origin", "main")
    reader = opened(bare, "reader")
    reader.fetch()
    assert git(bare.parent / "reader", "rev-list", "--count", str(reader.head)).strip() == "1"

    assert reader.last_change("data/a", "A") == (added, "add a\n\nSource: x")
    deleted = reader.last_change("data/a", "D")
    assert deleted is not None
    assert deleted[1] == "remove a"
    assert reader.last_change("data/b", "D") is None
    assert reader.last_change("data/never", "A") is None

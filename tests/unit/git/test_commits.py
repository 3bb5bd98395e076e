"""What is known of a repository's commits, against real bare repositories on disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.commit_info import CommitInfo
from feature_ops.git.commits import Commits
from feature_ops.git.errors import NoRepositoryError, UnknownRevisionError
from feature_ops.git.repository import Remote
from tests.unit.git.clone import Clone

OLD_PROTOCOL = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.version", "GIT_CONFIG_VALUE_0": "0"}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def missing_objects(commits: Commits, sha: str) -> int:
    told = subprocess.run(
        ["git", "-C", str(commits.folder), "rev-list", "--objects", "--missing=print", "-1", sha],
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.count("?")


def test_heads_are_branches_and_tags_with_the_commit_of_an_annotated_tag(clone: Clone) -> None:
    assert clone.commits("empty").heads() == {}
    first = clone.commit("first", {"a": "1"})
    clone.git("tag", "light")
    clone.git("tag", "-a", "heavy", "-m", "annotated")
    clone.git("push", "-q", "--tags", "origin")
    clone.git("checkout", "-q", "-b", "größe")
    second = clone.commit("second", {"a": "2"})
    assert clone.commits().heads() == {
        "refs/heads/main": first,
        "refs/heads/größe": second,
        "refs/tags/light": first,
        "refs/tags/heavy": first,
    }


def test_a_revision_is_a_branch_a_tag_or_a_hash(clone: Clone) -> None:
    first = clone.commit("first", {"a": "1"})
    clone.git("tag", "-a", "v1", "-m", "annotated")
    clone.git("push", "-q", "--tags", "origin")
    second = clone.commit("second", {"a": "2"})
    commits = clone.commits()
    assert {commits.resolve(name) for name in ("", "HEAD", "main", "refs/heads/main", second)} == {second}
    assert {commits.resolve(name) for name in ("v1", "refs/tags/v1", first, first[:7], first.upper())} == {
        first
    }


@pytest.mark.parametrize("revision", ["nope", "1234567", "f" * 40, "--all", "main~1", "12345"])
def test_an_unknown_revision_is_named(clone: Clone, revision: str) -> None:
    clone.commit("first", {"a": "1"})
    with pytest.raises(UnknownRevisionError) as caught:
        clone.commits().resolve(revision)
    assert revision in str(caught.value)
    assert isinstance(caught.value, BadInputError)


def test_the_accepted_revisions_are_told(clone: Clone) -> None:
    clone.commit("first", {"a": "1"})
    with pytest.raises(UnknownRevisionError, match=r"there are: main\) and a commit's hash of at least 7"):
        clone.commits().resolve("nope")
    with pytest.raises(UnknownRevisionError, match=r"no branch 'gone'.*there are: main"):
        clone.commits("other", branch="gone").resolve("HEAD")


def test_a_name_of_a_branch_and_a_tag_must_be_made_clear(clone: Clone) -> None:
    clone.commit("first", {"a": "1"})
    clone.git("tag", "main")
    clone.git("push", "-q", "origin", "refs/tags/main")
    clone.git("commit", "-q", "--allow-empty", "-m", "second")
    clone.git("push", "-q", "origin", "refs/heads/main")
    with pytest.raises(UnknownRevisionError, match="say which: refs/heads/main or refs/tags/main"):
        clone.commits().resolve("main")


def test_an_empty_or_missing_repository_is_told(clone: Clone, tmp_path: Path) -> None:
    with pytest.raises(UnknownRevisionError, match="no commit yet"):
        clone.commits().resolve("HEAD")
    with pytest.raises(NoRepositoryError):
        Commits(tmp_path / "none", Remote(f"file://{tmp_path}/none.git", "main")).heads()


def test_a_tree_is_no_commit(clone: Clone) -> None:
    clone.commit("first", {"a": "1"})
    with pytest.raises(UnknownRevisionError, match="a tree, not a commit"):
        clone.commits().fetch(clone.git("rev-parse", "HEAD^{tree}"))


def test_a_commit_is_described_in_words_and_utc(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-11-25T09:00:00+09:00")
    sha = clone.commit("Lauter → leiser\n\nbody")
    assert clone.commits().info(sha) == CommitInfo(
        sha, "Ada Ü", "Lauter → leiser", "2026-11-25T00:00:00+00:00"
    )


def test_changed_paths_are_those_that_differ_however_many_commits_are_between(clone: Clone) -> None:
    first = clone.commit("first", {"keep": "1", "edit": "1", "go": "1", "old name": "long enough\n" * 9})
    clone.git("mv", "old name", "new\nname ü")
    clone.git("rm", "-q", "go")
    clone.commit("second", {"edit": "2", "deep/x.py": "1"})
    third = clone.commit("third", {"keep": "2"})
    fourth = clone.commit("fourth", {"keep": "1"})
    commits = clone.commits()
    assert commits.changed_paths(first, fourth) == [
        "deep/x.py",
        "edit",
        "go",
        "new\nname ü",
        "old name",
    ]
    assert commits.changed_paths(third, fourth) == ["keep"]
    assert commits.changed_paths(fourth, fourth) == []


def test_a_mode_or_a_link_counts_as_a_change(clone: Clone) -> None:
    first = clone.commit("first", {"a": "1"})
    (clone.folder / "a").chmod(0o755)
    (clone.folder / "link").symlink_to("a")
    clone.git("add", "a", "link")
    assert clone.commits().changed_paths(first, clone.commit("second")) == ["a", "link"]


def test_neither_history_nor_files_are_fetched_to_compare(clone: Clone) -> None:
    shas = [clone.commit(f"number {number}", {f"f{number}": str(number)}) for number in range(3)]
    commits = clone.commits()
    assert commits.changed_paths(shas[0], shas[2]) == ["f1", "f2"]
    assert missing_objects(commits, shas[2]) == 3
    with pytest.raises(subprocess.CalledProcessError):  # shas[1] never came
        missing_objects(commits, shas[1])


@pytest.mark.parametrize("server", ["without filter", "of the old protocol"])
def test_a_server_that_can_do_less_serves_as_well(clone: Clone, tmp_path: Path, server: str) -> None:
    clone.allow_filter(server != "without filter")
    first = clone.commit("first", {"a/x": "1", "a/y": "2"})
    second = clone.commit("second", {"a/x": "3"})
    commits = clone.commits(**(OLD_PROTOCOL if server == "of the old protocol" else {}))
    assert commits.resolve(first[:8]) == first
    assert commits.changed_paths(first, second) == ["a/x"]
    commits.export(first, "a", tmp_path / "files")
    assert (tmp_path / "files" / "x").read_text() == "1"


def test_a_commit_lost_to_a_forced_push_is_named(clone: Clone) -> None:
    clone.commit("first", {"a": "1"})
    lost = clone.commit("second", {"a": "2"})
    clone.git("reset", "-q", "--hard", "HEAD~1")
    kept = clone.commit("other", {"a": "3"})
    commits = clone.commits()
    assert commits.changed_paths(lost, kept) == ["a"]  # the server still has it
    clone.serve("gc", "-q", "--prune=now")
    with pytest.raises(UnknownRevisionError, match=rf"{lost} does not exist in .*push it again"):
        clone.commits("later").changed_paths(lost, kept)


def test_the_files_under_a_folder_are_written_with_one_fetch(clone: Clone, tmp_path: Path) -> None:
    files = {"repo/a b.py": "1", "repo/deep/ü\n.py": "zwei\n", "repo/empty": "", "other": "3"}
    sha = clone.commit("files", files)
    commits = clone.commits()
    commits.export(sha, "repo/", tmp_path / "out")
    found = {
        str(p.relative_to(tmp_path / "out")): p.read_text() for p in tmp_path.rglob("out/**/*") if p.is_file()
    }
    assert found == {"a b.py": "1", "deep/ü\n.py": "zwei\n", "empty": ""}
    assert missing_objects(commits, sha) == 1  # `other`
    commits.export(sha, "", tmp_path / "all")
    assert (tmp_path / "all" / "other").read_text() == "3"


@pytest.mark.parametrize("path", ["", ".", "/", "./"])
def test_no_path_is_the_whole_repository(clone: Clone, tmp_path: Path, path: str) -> None:
    sha = clone.commit("files", {".hidden/a": "1", "b": "2"})
    clone.commits().export(sha, path, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == [".hidden", "a", "b"]
    clone.commits("again").export(sha, "./.hidden/", tmp_path / "hidden")
    assert [p.name for p in (tmp_path / "hidden").iterdir()] == ["a"]


def test_what_leads_out_of_the_folder_is_refused(clone: Clone, tmp_path: Path) -> None:
    (clone.folder / "repo").mkdir()
    (clone.folder / "repo" / "link").symlink_to("/etc/passwd")
    clone.git("add", "repo/link")
    with pytest.raises(BadInputError, match=r"repo/link of commit .* is a symbolic link"):
        clone.commits().export(clone.commit("link"), "repo", tmp_path / "out")
    clone.git("rm", "-q", "repo/link")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},repo/sub")
    with pytest.raises(BadInputError, match="is a submodule"):
        clone.commits("again").export(clone.commit("submodule"), "repo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tree_made_to_break_out_is_refused(clone: Clone, tmp_path: Path) -> None:
    blob = subprocess.run(
        ["git", "-C", str(clone.bare), "hash-object", "-w", "--stdin"],
        input=b"x",
        capture_output=True,
        check=True,
    ).stdout.decode()
    tree = work_tree = f"100644 blob {blob.strip()}\tescaped\n"
    for name in ("..", "repo"):
        work_tree = subprocess.run(
            ["git", "-C", str(clone.bare), "mktree"], input=tree, text=True, capture_output=True, check=True
        ).stdout.strip()
        tree = f"040000 tree {work_tree}\t{name}\n"
    made = ["-c", "user.name=x", "-c", "user.email=x", "commit-tree", "-m", "evil", work_tree]
    sha = clone.serve(*made)
    clone.serve("update-ref", "refs/heads/main", sha)
    with pytest.raises(BadInputError, match="impossible name"):
        clone.commits().export(sha, "", tmp_path / "out" / "deep")
    assert not (tmp_path / "out").exists()


def test_too_much_and_too_little_are_bad_input(clone: Clone, tmp_path: Path) -> None:
    sha = clone.commit("files", {"repo/a": "123456"})
    with pytest.raises(BadInputError, match="has 6 bytes; at most 5"):
        clone.commits().export(sha, "repo", tmp_path / "out", max_bytes=5)
    for path in ("feature_repo", "repo/a", "../etc", "repo/../.."):
        with pytest.raises(BadInputError, match="has no folder"):
            clone.commits("again").export(sha, path, tmp_path / "out")
    with pytest.raises(BadInputError, match="no folder 'feature_repo'"):
        clone.commits("again").export(sha, "feature_repo", tmp_path / "out")

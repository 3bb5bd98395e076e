"""What a version looks like in git, on real bare repositories."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from feature_ops.dvc.versioning import Version, VersionedFolder, check_remote, commit_message
from feature_ops.dvc.workspace import initial_files
from feature_ops.exceptions import BadInputError
from feature_ops.git.repository import Author, Remote, Repository
from tests.unit.bare_repository import git

AUTHOR = Author("feature-ops", "feature-ops@localhost")
FOLDER = "data/songs"


def version(digit: str) -> Version:
    return Version(f"{digit * 20}.parquet", f"pointer {digit}".encode(), digit * 64, {"rows": "1"})


class Writer:
    """One writer with its own view of the branch, and how often it made DVC's initial files."""

    def __init__(self, bare: Path, name: str) -> None:
        self.repository = Repository(bare.parent / name, Remote(f"file://{bare}", "main"))
        make = partial(initial_files, bare.parent / f"{name}-init", "s3-version", "s3://data-cache")
        self.folder = VersionedFolder(self.repository, FOLDER, AUTHOR, make)

    def publish(self, *versions: Version) -> str | None:
        return self.repository.publish(lambda: self.folder.commit_missing(list(versions)))


def test_d9_the_first_version_commits_every_file_of_dvc_init(bare: Path) -> None:
    Writer(bare, "a").publish(version("1"))
    assert git(bare, "ls-tree", "-r", "--name-only", "main").split() == [
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvcignore",
        "data/songs/.gitignore",
        f"data/songs/{'1' * 20}.parquet.dvc",
    ]
    config = git(bare, "show", "main:.dvc/config")
    assert "url = s3://data-cache" in config
    assert "remote = s3-version" in config
    assert not {"key", "endpoint", "secret"} & set(config.replace("_", " ").split())
    assert git(bare, "show", "main:.dvc/.gitignore").split() == ["/config.local", "/tmp", "/cache"]
    assert git(bare, "show", "main:data/songs/.gitignore") == "/*.parquet\n"


def test_d9_an_initialized_repository_is_not_initialized_again(bare: Path) -> None:
    Writer(bare, "a").publish(version("1"))
    b = Writer(bare, "b")
    b.publish(version("2"))
    assert not (bare.parent / "b-init").exists()
    subjects = git(bare, "log", "--format=%s", "main").splitlines()
    assert subjects == [
        "data: 1 new row in songs (22222222….parquet)",
        "data: 1 new row in songs (11111111….parquet)",
        "data: initialize DVC",
    ]


def test_d3_the_same_version_twice_is_one_commit(bare: Path) -> None:
    first = Writer(bare, "a").publish(version("1"))
    assert Writer(bare, "b").publish(version("1")) == first


def test_two_first_writers_make_one_linear_history(bare: Path) -> None:
    a, b = Writer(bare, "a"), Writer(bare, "b")
    b.repository.fetch()
    a.publish(version("1"))
    b.publish(version("2"))
    assert git(bare, "log", "--format=%s", "main").count("initialize DVC") == 1
    assert git(bare, "rev-list", "--merges", "main") == ""


def test_what_people_put_there_stays(bare: Path) -> None:
    person = Repository(bare.parent / "person", Remote(f"file://{bare}", "main"))
    files = {".dvcignore": b"mine\n", "data/songs/.gitignore": b"/old", "readme.md": b"hello\n"}
    person.publish(lambda: person.commit(files, "mine", AUTHOR))
    Writer(bare, "a").publish(version("1"))
    assert git(bare, "show", "main:.dvcignore") == "mine\n"
    assert git(bare, "show", "main:data/songs/.gitignore") == "/old\n/*.parquet\n"
    assert git(bare, "show", "main:readme.md") == "hello\n"


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[core]\n    remote = other\n['remote \"other\"']\n    url = s3://stranger\n",
        "['remote \"s3-version\"']\n    url = s3://data-cache\n",
        "no configuration",
    ],
)
def test_a_repository_whose_pull_looks_elsewhere_is_refused(bare: Path, config: str) -> None:
    repository = Repository(bare.parent / "a", Remote(f"file://{bare}", "main"))
    repository.publish(lambda: repository.commit({".dvc/config": config.encode()}, "c", AUTHOR))
    with pytest.raises(BadInputError, match=r"\.dvc/config in git"):
        check_remote(repository, "s3-version", "s3://data-cache")


def test_our_remote_under_any_name_is_fine(bare: Path) -> None:
    config = "[core]\n    remote = theirs\n    autostage = true\n['remote \"theirs\"']\n    url = s3://data-cache/\n"
    repository = Repository(bare.parent / "a", Remote(f"file://{bare}", "main"))
    check_remote(repository, "s3-version", "s3://data-cache")
    repository.publish(lambda: repository.commit({".dvc/config": config.encode()}, "c", AUTHOR))
    check_remote(repository, "s3-version", "s3://data-cache")


def test_a_message_has_trailers_for_programs() -> None:
    origin = {"rows": "14245", "run-id": "manual__1", "source": "https://x/a b\nSigned-off-by: me"}
    message = commit_message(Version(f"{'ab' * 10}.parquet", b"", "ab" * 32, origin), FOLDER)
    assert message == (
        "data: 14,245 new rows in songs (abababab….parquet)\n\n"
        "Run-Id: manual__1\n"
        "Source: https://x/a b Signed-off-by: me\n"
        f"Content-SHA256: {'ab' * 32}\n"
        "Rows: 14245\n"
    )

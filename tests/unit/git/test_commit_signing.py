"""The package signs its own commits if it is given a key, and its own check accepts them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from feature_ops.datasets.column import Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.dvc import operators
from feature_ops.dvc.operators import VersionWithDvcOperator
from feature_ops.dvc.versioning import Version
from feature_ops.exceptions import BadInputError
from feature_ops.git.commits import Commits
from feature_ops.git.repository import Author, Remote, Repository
from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.errors import SignatureSetupError, UnsignedCommitError
from feature_ops.git.signatures.policy import Span, refuse_unsigned
from feature_ops.settings import get_settings
from tests.unit.bare_repository import git
from tests.unit.git.signing import Keys, run

SONGS = Dataset(name="songs", keys=("id",), columns=(Column(name="id", type=ColumnType.STRING),))
SETTING = "FEATURE_OPS_GIT_SIGNING_KEY"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


def publish(bare: Path, key: Path | None, name: str = "work") -> str:
    repository = Repository(bare.parent / name, Remote(f"file://{bare}", "main"))
    author = Author("feature-ops", "ada@localhost", key)
    repository.fetch()
    commit = repository.publish(lambda: repository.commit({f"data/{name}.dvc": b"1"}, "data: x\n", author))
    assert commit
    return commit


def signers_of(bare: Path, keys: Keys, head: str, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "signers"
    file.write_text(keys.line("ada"))
    commits = Commits(tmp_path / "check", Remote(f"file://{bare}", "main"))
    graph = commits.history(head)
    span = Span(head, None, None, ("data",))
    signers = AllowedSigners.read([file], tmp_path / "scratch")
    return refuse_unsigned(graph, span, signers, partial(commits.fetch_trees, graph))


def test_commits_are_signed_with_the_key_and_pass_the_check(bare: Path, keys: Keys, tmp_path: Path) -> None:
    first = publish(bare, keys.private("ada"), "one")
    second = publish(bare, keys.private("ada"), "two")
    assert list(signers_of(bare, keys, second, tmp_path)) == [first, second]
    assert git(bare, "log", "-1", "--format=%an %s", "main").strip() == "feature-ops data: x"


def test_without_a_key_commits_are_not_signed(bare: Path, keys: Keys, tmp_path: Path) -> None:
    head = publish(bare, None)
    with pytest.raises(UnsignedCommitError, match="it is not signed"):
        signers_of(bare, keys, head, tmp_path)


def test_a_key_that_cannot_be_used_is_named_and_nothing_is_pushed(
    bare: Path, keys: Keys, tmp_path: Path
) -> None:
    secret = tmp_path / "with a passphrase"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(secret))
    garbage = tmp_path / "garbage"
    garbage.write_text("no key")
    garbage.chmod(0o600)
    shared = tmp_path / "shared"
    shared.write_bytes(keys.private("ada").read_bytes())
    shared.chmod(0o644)
    for number, (key, reason) in enumerate(
        [
            (tmp_path / "missing", "cannot be read"),
            (secret, "no SSH private key without a passphrase"),
            (garbage, "no SSH private key without a passphrase"),
            (shared, "other users can read: chmod 600"),
        ]
    ):
        with pytest.raises(BadInputError, match=reason) as refused:
            publish(bare, key, f"work{number}")
        assert SETTING in str(refused.value)
        assert git(bare, "for-each-ref") == ""
    with pytest.raises(SignatureSetupError):
        publish(bare, garbage, "last")


def test_the_etl_signs_with_the_key_of_the_setting(
    bare: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, str(keys.private("ada")))
    monkeypatch.setenv("FEATURE_OPS_GIT_AUTHOR_EMAIL", "ada@localhost")
    get_settings.cache_clear()
    step = VersionWithDvcOperator(task_id="version", dataset=SONGS)
    version = Version("0" * 64 + ".parquet", b"outs: []\n", "0" * 64, {})
    monkeypatch.setattr(step, "_send_content", lambda store, files, folder: [version])
    monkeypatch.setattr(operators, "initial_files", lambda *arguments: {".dvc/config": b""})
    repository = Repository(tmp_path / "work", Remote(f"file://{bare}", "main"))
    repository.fetch()
    store: Any = None
    try:
        head, added = step.version(store, repository, [], tmp_path)
    finally:
        get_settings.cache_clear()
    assert head
    assert added == [version.name]
    file = tmp_path / "signers"
    file.write_text(keys.line("ada"))
    for commit in git(bare, "rev-list", "main").split():
        content = git(bare, "cat-file", "commit", commit).encode()
        assert AllowedSigners.read([file], tmp_path / commit).verify(content)

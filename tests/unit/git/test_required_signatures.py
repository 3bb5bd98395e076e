"""Before code of a commit is loaded, the tasks check signatures, if the settings say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.definition_operators import DiffFeatureServiceOperator
from feature_ops.git.commits import Commits
from feature_ops.git.errors import GitError
from feature_ops.git.signatures.errors import SignatureSetupError, UnsignedCommitError
from feature_ops.git.signatures.required import require_signatures
from feature_ops.settings import Settings, get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.operators import RetrainOperator
from tests.unit.git.signing import CODE, Keys, Team

MODEL = Model(name="toy", feature_service="fs", command=("x",))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def team(tmp_path: Path, keys: Keys) -> Team:
    return Team(tmp_path, keys)


@pytest.fixture
def required(team: Team, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Require signatures, and give the tasks the team's repository."""

    class Hook:
        def __init__(self, conn_id: str) -> None:
            pass

        @contextmanager
        def commits(self, folder: Path) -> Iterator[Commits]:
            yield team.clone.commits(str(folder))

    monkeypatch.setattr("feature_ops.git.hook.GitRepositoryHook", Hook)
    monkeypatch.setenv("FEATURE_OPS_GIT_ALLOWED_SIGNERS", str(team.signers))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(team.folder))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def push(team: Team) -> str:
    team.clone.git("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
    return team.head


def diff(head: str, applied: str | None, code_paths: list[str] | None = None) -> DiffFeatureServiceOperator:
    resolved = {"commit": head, "applied": applied, "begun": None, "applied_at": 1, "resolved_at": "x"}
    return DiffFeatureServiceOperator(task_id="diff", resolved=resolved, code_paths=code_paths)


@pytest.mark.usefixtures("required")
def test_an_unsigned_commit_is_refused_before_its_definitions_are_exported(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*arguments: Any) -> None:
        raise AssertionError("files of an unsigned commit were exported")

    applied = team.commit({CODE: "1"})
    bad = team.commit({CODE: "2"}, None)
    push(team)
    monkeypatch.setattr(Commits, "export", export)
    with pytest.raises(UnsignedCommitError, match=f"commit {bad[:10]}"):
        diff(bad, applied, ["model"]).reconcile({})
    good = team.git("commit", "-q", "--amend", "--no-edit")
    push(team)
    with pytest.raises(AssertionError, match="were exported"):
        diff(good, applied, ["model"]).reconcile({})


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(
    ("path", "code_paths", "is_refused"),
    [
        (CODE, [], True),
        ("model/train.py", ["model"], True),
        ("model/train.py", [], False),
        ("README.md", ["model"], False),
        ("README.md", None, True),
    ],
)
def test_the_folders_with_code_count_and_all_if_none_are_named(
    team: Team, monkeypatch: pytest.MonkeyPatch, path: str, code_paths: list[str] | None, is_refused: bool
) -> None:
    monkeypatch.setattr(Commits, "export", lambda *arguments: pytest.skip("not reached"))
    applied = team.commit({CODE: "1", "model/train.py": "1"})
    head = team.commit({path: "2"}, None)
    push(team)
    operator = diff(head, applied, code_paths)
    expected: type[BaseException] = UnsignedCommitError if is_refused else pytest.skip.Exception
    with pytest.raises(expected):
        operator.reconcile({})


@pytest.mark.usefixtures("required")
def test_a_training_checks_the_model_s_code_as_well(team: Team, tmp_path: Path) -> None:
    applied = team.commit({CODE: "1", "model/train.py": "1"})
    bad = team.commit({"model/train.py": "2"}, None)
    push(team)
    operator = RetrainOperator(
        task_id="retrain",
        model=MODEL,
        diff={"commit": bad, "applied": applied, "needed": False, "resolved_at": "x"},
    )
    with pytest.raises(UnsignedCommitError, match="changes model"):
        operator._require_signatures(team.clone.commits("train"), bad, tmp_path / "signers")


def test_without_the_setting_nothing_is_checked(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATURE_OPS_GIT_ALLOWED_SIGNERS", raising=False)
    get_settings.cache_clear()
    head = team.commit({CODE: "1"}, None)
    require_signatures(team.clone.commits(), head, None, [""], team.folder / "scratch")


def test_an_error_of_the_deployment_does_not_count_as_a_refusal_of_the_commit() -> None:
    """Errors of git are not acknowledged to the watcher, so the commit is evaluated after the repair."""
    assert issubclass(SignatureSetupError, GitError)
    assert not issubclass(UnsignedCommitError, GitError)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/etc/signers", ("/etc/signers",)),
        ('["/etc/signers", "/etc/keys.asc"]', ("/etc/signers", "/etc/keys.asc")),
        ("", ()),
    ],
)
def test_the_setting_takes_a_path_or_a_list(
    monkeypatch: pytest.MonkeyPatch, value: str, paths: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FEATURE_OPS_GIT_ALLOWED_SIGNERS", value)
    assert Settings().git_allowed_signers == tuple(map(Path, paths))


@pytest.mark.parametrize("value", ["main", "abc", "--all"])
def test_the_trusted_commit_is_a_full_hash(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FEATURE_OPS_GIT_SIGNED_SINCE", value)
    with pytest.raises(ValueError, match="git_signed_since"):
        Settings()

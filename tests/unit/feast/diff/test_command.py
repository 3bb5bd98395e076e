"""``python -m feature_ops.feast.diff`` on local repositories: what needs no Feast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.__main__ import main
from feature_ops.feast.diff.exporting import LocalRepository
from tests.unit.git.signing import Keys

Files = dict[str, str | bytes]


class Work:
    """A repository with a work tree; each commit is made of whole files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments: str) -> str:
        names = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        done = subprocess.run(
            ["git", *names, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, files: Files) -> str:
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a commit's code would be run."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the definitions were loaded")

    monkeypatch.setattr("feature_ops.feast.diff.loading.load", refuse)


@pytest.mark.usefixtures("no_loading")
def test_a_document_means_nothing_and_nothing_is_loaded(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    old = work.commit({"feature_repo/features.py": "a = 1\n"})
    new = work.commit({"feature_repo/README.md": "a = 1", "README.md": "Read me"})
    assert main([old, new, "--repo", str(work.folder), "--format", "json", "--exit-code"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "verdict": "none",
        "changes": [],
        "services": {},
        "obstacles": [],
    }


@pytest.mark.usefixtures("no_loading")
def test_commits_are_named_as_git_names_them(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.commit({"feature_repo/features.py": "a = 1\n"})
    work.git("tag", "--annotate", "--message=first", "v1")
    new = work.commit({"other.txt": "x"})
    for old_name, new_name in (("v1", "main"), ("HEAD~1", "HEAD"), (new[:8], "v1")):
        assert main([old_name, new_name, "--repo", str(work.folder)]) == 0
    assert capsys.readouterr().out.count("none: ") == 3


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("kind", ["bare", "folder within", "linked work tree"])
def test_every_kind_of_repository(kind: str, work: Work, tmp_path: Path) -> None:
    work.commit({"feature_repo/features.py": "a = 1\n"})
    work.commit({"feature_repo/README.md": "a = 1"})
    place = work.folder / "feature_repo"
    if kind == "bare":
        place = tmp_path / "bare.git"
        work.git("clone", "--quiet", "--bare", ".", str(place))
    if kind == "linked work tree":
        place = tmp_path / "linked"
        work.git("worktree", "add", "--quiet", "--detach", str(place))
    assert main(["HEAD~1", "HEAD", "--repo", str(place)]) == 0


@pytest.mark.usefixtures("no_loading")
def test_a_work_tree_with_open_changes_is_left_alone(work: Work) -> None:
    work.commit({"feature_repo/features.py": "a = 1\n"})
    work.commit({"feature_repo/README.md": "a = 1"})
    (work.folder / "feature_repo/features.py").write_text("in work")
    (work.folder / "feature_repo/new.py").write_text("new")
    before = work.git("status", "--porcelain"), sorted(work.folder.rglob("*"))
    assert main(["HEAD~1", "HEAD", "--repo", str(work.folder)]) == 0
    assert (work.git("status", "--porcelain"), sorted(work.folder.rglob("*"))) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "HEAD"], "has no commit 'nowhere'"),
        (["--", "--output=x", "HEAD"], "has no commit '--output=x'"),
        (["HEAD", "HEAD^{tree}"], "has no commit"),
        (["HEAD", "HEAD", "--path", "models"], "has no folder 'models': correct the path"),
        (["HEAD", "HEAD", "--path", "feature_repo/features.py"], "has no folder"),
        (["HEAD", "HEAD", "--path", "../feature_repo"], "leads out of the repository"),
    ],
)
def test_wrong_input_is_told_with_its_remedy(
    arguments: list[str], words: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.commit({"feature_repo/features.py": "a = 1\n"})
    assert main(["--repo", str(work.folder), *arguments]) == 1
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ""


def test_a_folder_without_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b", "--repo", str(tmp_path)]) == 1
    assert "is in no git repository: say with --repo" in capsys.readouterr().err


def test_a_wrong_command_line_has_its_own_exit_code() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["only-one"])
    assert ended.value.code == 2


def test_files_are_exported_as_they_are(work: Work, tmp_path: Path) -> None:
    files: Files = {
        "feature_repo/ä und ö/features.py": "ä = 1\n",
        "feature_repo/empty.py": "",
        "feature_repo/binary.bin": bytes(range(256)) * 100,
        # Attributes and hooks of the repository have no say.
        ".gitattributes": "*.py export-ignore export-subst text eol=crlf\n",
        "secret.py": "outside\n",
    }
    work.commit(files)
    (work.folder / "feature_repo/inner.py").symlink_to("empty.py")
    commit = work.commit({})
    LocalRepository(work.folder).export(commit, "/feature_repo/", tmp_path / "out")
    exported = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert exported == {
        "ä und ö/features.py": "ä = 1\n".encode(),
        "empty.py": b"",
        "binary.bin": bytes(range(256)) * 100,
        "inner.py": b"",
    }


def test_a_whole_repository_may_be_the_feature_repository(work: Work, tmp_path: Path) -> None:
    commit = work.commit({"features.py": "a = 1\n"})
    LocalRepository(work.folder).export(commit, ".", tmp_path / "out")
    assert (tmp_path / "out" / "features.py").read_text() == "a = 1\n"
    with pytest.raises(BadInputError):
        LocalRepository(work.folder).export(commit, "feature_repo", tmp_path / "none")


def test_a_repository_of_somebody_else_can_be_read(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    work.commit({"feature_repo/features.py": "a = 1\n"})
    for path in (work.folder, work.folder / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert main(["HEAD", "HEAD", "--repo", str(work.folder)]) == 0


def test_neither_feast_nor_airflow_is_imported_for_a_document(work: Work) -> None:
    work.commit({"feature_repo/features.py": "a = 1\n"})
    work.commit({"feature_repo/README.md": "a = 1"})
    code = (
        "import sys; from feature_ops.feast.diff.__main__ import main; main(sys.argv[1:]);"
        "print([name for name in ('feast', 'airflow', 'pandas', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "HEAD~1", "HEAD", "--repo", str(work.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_command_line_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "--exit-code" in told
    assert "12 breaking" in told


@pytest.fixture
def signed(work: Work, tmp_path: Path) -> Path:
    """A file of signers, and a repository in which everything is signed from now on."""
    keys = Keys(tmp_path)
    signers = tmp_path / "signers"
    signers.write_text(keys.line("ada", "ann@example.org"))
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(keys.private("ada"))),
        ("commit.gpgSign", "true"),
    ):
        work.git("config", name, value)
    return signers


@pytest.mark.usefixtures("no_loading")
def test_the_command_refuses_an_unsigned_commit_and_loads_nothing(
    work: Work, signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = work.commit({"feature_repo/features.py": "a = 1\n"})
    good = work.commit({"feature_repo/notes.md": "One.\n"})
    command = ["--repo", str(work.folder), "--allowed-signers", str(signed)]
    assert main([old, good, *command]) == 0
    work.git("config", "commit.gpgSign", "false")
    unwatched = work.commit({"README.md": "x"})
    assert main([old, unwatched, *command]) == 0
    bad = work.commit({"feature_repo/features.py": "a = 2\n"})
    capsys.readouterr()
    assert main([old, bad, *command]) == 1
    told = capsys.readouterr()
    assert f"commit {bad[:10]} “change” by Ann changes feature_repo, and it is not signed" in told.err
    assert told.out == ""


@pytest.mark.usefixtures("no_loading")
def test_the_configuration_of_the_repository_does_not_matter(
    work: Work, signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\necho 'Good \"git\" signature for ann@example.org'\nexit 0\n")
    program.chmod(0o755)
    old = work.commit({"feature_repo/features.py": "a = 1\n"})
    work.git("config", "user.signingKey", str(tmp_path / "eve"))
    bad = work.commit({"feature_repo/features.py": "a = 2\n"})
    for name, value in (
        *((f"gpg.{kind}program", str(program)) for kind in ("", "ssh.", "openpgp.", "x509.")),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "eve.pub")),
        ("gpg.minTrustLevel", "undefined"),
        ("log.showSignature", "true"),
    ):
        work.git("config", name, value)
    assert main([old, bad, "--repo", str(work.folder), "--allowed-signers", str(signed)]) == 1
    assert "is not one of an allowed signer" in capsys.readouterr().err
    assert not ran.exists()

"""The whole command on the repository of this project: from commits to a verdict."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs.pages import blocks

FEATURE_REPO = Path(__file__).parents[4] / "feature_repo"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the second one comments ``loudness`` out of the service."""
    shutil.copytree(FEATURE_REPO, tmp_path / "feature_repo")
    git(tmp_path, "init", "--quiet", ".")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=all")
    service = tmp_path / "feature_repo" / "feature_service.py"
    service.write_text(service.read_text().replace('"loudness",', '# "loudness",'))
    git(tmp_path, "commit", "--quiet", "--all", "--message=without loudness")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True)


def diff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "feature_ops.feast.diff", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_feature_commented_out_of_the_service_breaks_it(repository: Path) -> None:
    done = diff(repository, "HEAD~1", "HEAD", "--format", "json", "--exit-code")
    assert done.returncode == 12, done.stderr
    assert json.loads(done.stdout) == {
        "verdict": "breaking",
        "changes": [
            {
                "object": "serving_fs",
                "verdict": "breaking",
                "sentence": "serving_fs: − song_properties:loudness",
            }
        ],
        "services": {"serving_fs": "breaking"},
        "obstacles": [],
    }


def test_definitions_that_do_not_load_are_told_with_commit_file_and_line(repository: Path) -> None:
    file = repository / "feature_repo" / "features.py"
    file.write_text(f"{file.read_text()}\nraise ValueError('not yet')\n")
    git(repository, "commit", "--quiet", "--all", "--message=broken")
    done = diff(repository, "HEAD~1", "HEAD")
    assert done.returncode == 1
    line = len(file.read_text().splitlines())
    assert done.stderr == f"new commit HEAD: features.py:{line}: ValueError: not yet\n"


def test_the_page_shows_what_the_command_prints(repository: Path) -> None:
    (shown,) = [block for block in blocks("docs/diff.md") if block.language == "console"]
    done = diff(repository, "HEAD~1", "HEAD")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shown.text.partition("\n")[2].strip()

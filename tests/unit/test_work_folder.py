"""Work folders go with their run, killed or not."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_ops.settings import get_settings
from feature_ops.work_folder import MARKER, PREFIX, WorkFolderFullError, without_scratch_paths, work_folder


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    yield tmp_path / "work"
    get_settings.cache_clear()


def test_a_folder_is_removed_even_when_its_run_fails(parent: Path) -> None:
    with pytest.raises(IsADirectoryError), work_folder("test") as folder:
        folder.write_text("a folder takes no text")
    assert list(parent.iterdir()) == []


def test_the_next_run_removes_what_a_killed_run_left(parent: Path) -> None:
    code = (
        "import os, signal\nfrom feature_ops.work_folder import work_folder\n"
        "with work_folder('killed') as folder:\n"
        "    (folder / 'file').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert len(list(parent.glob("*/scratch/file"))) == 1
    with work_folder("next") as folder:
        assert list(parent.iterdir()) == [folder.parent]


def test_a_removal_that_was_cut_short_is_finished_by_the_next_run(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def killed_after_it(folder: Path, **options: bool) -> None:
        remove(folder, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed_after_it)
        with pytest.raises(KeyboardInterrupt), work_folder("killed"):
            pass
    assert [path.name for path in parent.glob("*/*")] == [MARKER]
    with work_folder("next") as folder:
        assert list(parent.iterdir()) == [folder.parent]


def test_a_running_neighbours_folder_stays(parent: Path) -> None:
    with work_folder("one") as one:
        with work_folder("two"):
            assert one.is_dir()
        assert one.is_dir()


def test_a_folder_that_nobody_marked_stays_whatever_its_name(parent: Path) -> None:
    strangers = [parent / f"{PREFIX}of-somebody", parent / "feature-ops-tests-1", parent / "other"]
    for folder in strangers:
        folder.mkdir(parents=True)
    (strangers[1] / MARKER).touch()
    with work_folder("one"):
        assert all(folder.is_dir() for folder in strangers)


def test_a_full_disk_is_told_with_the_folder_and_the_setting(parent: Path) -> None:
    told = pytest.raises(WorkFolderFullError, match=f"{parent}: .*FEATURE_OPS_WORK_DIR")
    with told as error, work_folder("test"):
        raise OSError(errno.ENOSPC, "No space left on device", "a file")
    assert "try again" in str(error.value)
    assert list(parent.iterdir()) == []


def test_a_full_disk_behind_another_error_is_told(parent: Path) -> None:
    with pytest.raises(WorkFolderFullError), work_folder("test"):
        raise ValueError("a library's own word for it") from OSError(errno.EDQUOT, "Disk quota exceeded")


def test_a_full_disk_of_a_server_is_not_taken_for_this_one(parent: Path) -> None:
    with pytest.raises(ValueError, match="remote: No space left"), work_folder("test"):
        raise ValueError("remote: No space left on device")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/feature-ops-work-validate-a1b2c3d4/scratch/x.parquet is damaged", "x.parquet is damaged"),
        ("open '/var/tmp/feature-ops-work-apply-a_b2c3d4/scratch/a/b.py'", "open 'a/b.py'"),
        ("in /tmp/feature-definitions-a1b2c3d4/x.py", "in x.py"),
        (
            "no such folder: /scratch/feature-ops-work-etl-a1b2c3d4/scratch",
            "no such folder: the scratch folder",
        ),
        ("s3://data/feature-ops-duckdb-a1b2c3d4/x", "s3://data/feature-ops-duckdb-a1b2c3d4/x"),
        (
            "https://host/feature-ops-work-x-a1b2c3d4/scratch/",
            "https://host/feature-ops-work-x-a1b2c3d4/scratch/",
        ),
        ("/home/me/feature-ops/x.py", "/home/me/feature-ops/x.py"),
        ("no space is left in /tmp", "no space is left in /tmp"),
    ],
)
def test_no_message_has_the_path_of_a_scratch_folder(text: str, shown: str) -> None:
    assert without_scratch_paths(text) == shown

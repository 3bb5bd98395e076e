"""What a process uses is counted from outside: files, deleted ones too, and threads."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from feature_ops.sandbox.usage import disk_usage, thread_count

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")
MIB = 1 << 20


def test_files_in_folders_and_deleted_files_count(tmp_path: Path) -> None:
    before = disk_usage(tmp_path, os.getpid(), 1 << 40)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(os.urandom(MIB))
    with (tmp_path / "deleted").open("wb") as file:
        file.write(os.urandom(MIB))
        file.flush()
        (tmp_path / "deleted").unlink()
        assert 2 * MIB <= disk_usage(tmp_path, os.getpid(), 1 << 40) - before < 3 * MIB


def test_empty_files_count_and_counting_ends_above_the_limit(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert disk_usage(tmp_path, 0, 1 << 40) >= 100 * 4096
    assert 10 * 4096 < disk_usage(tmp_path, 0, 10 * 4096) < 20 * 4096


def test_links_are_not_followed_and_what_is_missing_counts_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    assert disk_usage(tmp_path, 0, 1 << 40) <= 2 * 4096
    assert disk_usage(tmp_path / "missing", 0, 1 << 40) == 0


def test_threads_are_counted() -> None:
    before, end = thread_count(os.getpid()), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert thread_count(os.getpid()) == before + 1
    end.set()
    thread.join()
    assert thread_count(0) == 0

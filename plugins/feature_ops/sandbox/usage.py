"""Measure from outside what a sandboxed process uses of what the kernel does not limit for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

# A file without content takes about as much of the disk.
_PER_FILE = 4096


def disk_usage(folder: Path, pid: int, limit: int) -> int:
    """
    Return the bytes on disk of a folder's files, and of those that a process deleted and holds open.

    :param limit: counting stops above it, so that many files do not take long to count.
    """
    total = 0
    for status in (*_deleted(pid), *_walk(folder, limit)):
        total += _PER_FILE + 512 * status.st_blocks
    return total


def thread_count(pid: int) -> int:
    """Return the threads of a process, 0 if it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _walk(folder: Path, limit: int) -> Iterator[os.stat_result]:
    """Yield the status of each file and folder, and stop when they are more than the limit in size."""
    pending, size = [str(folder)], 0
    while pending and size <= limit:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    size += _PER_FILE + 512 * status.st_blocks
                    yield status
                    if size > limit:
                        return
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue  # deleted meanwhile


def _deleted(pid: int) -> Iterator[os.stat_result]:
    files = f"/proc/{pid}/fd"
    try:
        names = os.listdir(files)
    except OSError:
        return
    for name in names:
        try:
            status = os.stat(f"{files}/{name}")
        except OSError:
            continue
        if S_ISREG(status.st_mode) and not status.st_nlink:
            yield status

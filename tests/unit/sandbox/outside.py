"""A file and a process that code in a sandbox must leave as they are."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Outside(NamedTuple):
    """A file and a process of the same user outside of the sandbox."""

    victim: Path
    readable: Path
    scratch: Path
    process: int


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    victim, readable, scratch = folder / "credentials.json", folder / "data.csv", folder / "scratch"
    victim.write_text("hunter2")
    victim.chmod(0o600)
    readable.write_text("a,b\n1,2")
    scratch.mkdir()
    process = subprocess.Popen(["sleep", "600"])
    yield Outside(victim, readable, scratch, process.pid)
    assert process.poll() is None, "the process outside was ended"
    process.kill()
    process.wait()


def state(outside: Outside) -> dict[str, Any]:
    """Return what may not change: files, a process, and what the kernel keeps for all."""
    process = Path(f"/proc/{outside.process}")
    return {
        "files": [_file(path) for path in (outside.victim, outside.readable, outside.victim.parent)],
        "content": outside.victim.read_text() + outside.readable.read_text(),
        "nice": os.getpriority(os.PRIO_PROCESS, outside.process),
        "affinity": os.sched_getaffinity(outside.process),
        "scheduler": os.sched_getscheduler(outside.process),
        "limits": (process / "limits").read_text(),
        "segments": [kind for kind in ("shm", "sem", "msg") if _has_segment(kind)],
        "host": os.uname().nodename,
        "owned": sorted(name for name in os.listdir("/dev/shm") if name == "left"),
    }


def _has_segment(kind: str) -> bool:
    """Whether the key that attempts use exists; other programs have others."""
    lines = Path("/proc/sysvipc", kind).read_text().splitlines()
    return any(line.split()[0] == "4242" for line in lines)


def _file(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_nlink, found.st_mtime_ns

"""What can't be refused on a platform is told; a limit can be lowered and never raised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")


def confined(code: str) -> str:
    """Run code in a process of its own, since what is refused stays refused; returns what it prints."""
    start = "from pathlib import Path\nfrom feature_ops.feast.diff import confinement\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@linux
def test_a_current_linux_refuses_all(tmp_path: Path) -> None:
    code = f"print(confinement.refuse([Path('/usr')], Path({str(tmp_path)!r})))"
    assert confined(code) == "[]"


@linux
def test_another_processor_is_told(tmp_path: Path) -> None:
    code = f"""
confinement.platform.machine = lambda: "riscv64"
print(confinement.refuse([Path('/usr')], Path({str(tmp_path)!r})))
"""
    assert "no seccomp filter" in confined(code)


def test_another_system_is_told_and_python_code_is_refused_all_the_same(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess
confinement.sys.platform = "darwin"
print(*confinement.refuse([], Path({str(tmp_path)!r})))
for act in (os.fork, lambda: subprocess.run(["id"]), lambda: socket.create_connection(("127.0.0.1", 9))):
    try:
        act()
    except PermissionError as error:
        print(error.strerror)
"""
    assert confined(code).splitlines() == [
        "darwin has no means to cut off network, processes and files",
        "feature definitions may not start processes",
        "feature definitions may not start processes",
        "feature definitions may not use the network",
    ]


@linux
def test_memory_is_limited_and_a_little_is_left_to_tell_of_it() -> None:
    code = """
confinement.limit_resources(memory_mb=64, file_mb=1, seconds=30)
kept = []
try:
    while True:
        kept.append(bytearray(1 << 20))
except MemoryError:
    confinement.make_room()
    more = bytearray(8 << 20)
print(len(kept) < 80, len(more))
"""
    assert confined(code) == f"True {8 << 20}"

"""All that a sandboxed program starts ends with it, with its guard and with its guard's parent."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")

Guard = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    def start(kind: str, ends: str) -> subprocess.Popen[bytes]:
        program = Path(__file__).with_name("daemon.py")
        return subprocess.Popen(
            [sys.executable, "-B", str(program), str(tmp_path), kind, ends],
            stdin=subprocess.PIPE,
            cwd=PROJECT,
            env={"PYTHONPATH": str(PROJECT / "plugins"), "PATH": os.defpath},
        )

    return start


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def all_are_gone(folder: Path) -> bool:
    """Whether no daemon holds its lock any more."""
    locks = list(folder.glob("daemon*"))
    assert len(locks) == 3
    for path in locks:
        with path.open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


@pytest.mark.parametrize("kind", ["namespace", "reaper"])
def test_daemons_end_with_the_program_and_its_exit_code_is_kept(
    kind: str, guard: Guard, tmp_path: Path
) -> None:
    process = guard(kind, "7")
    assert process.wait(30) == 7
    assert all_are_gone(tmp_path)


@pytest.mark.parametrize("kind", ["namespace", "reaper"])
@pytest.mark.parametrize("end", ["terminate", "close the lifeline"])
def test_daemons_end_when_the_guard_ends(kind: str, end: str, guard: Guard, tmp_path: Path) -> None:
    process = guard(kind, "waits")
    until((tmp_path / "all").exists, "the daemons run")
    if end == "terminate":
        process.terminate()
    else:
        assert process.stdin
        process.stdin.close()
    assert process.wait(30) == 128 + signal.SIGKILL
    assert all_are_gone(tmp_path)


def test_daemons_end_when_the_guard_is_killed(guard: Guard, tmp_path: Path) -> None:
    process = guard("namespace", "waits")
    until((tmp_path / "all").exists, "the daemons run")
    process.kill()
    process.wait()
    until(lambda: all_are_gone(tmp_path), "daemons outlive the guard")


def test_a_sandboxed_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, time
from pathlib import Path
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.libc import prctl
from feature_ops.sandbox.profile import Profile
if os.fork() == 0:
    confine(Profile(writable=(Path({str(tmp_path)!r}),)))
    prctl(1, 0)
    os.write(1, b"ready")
    while True:
        time.sleep(600)
time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=PROJECT, env={"PYTHONPATH": "plugins"}
    )
    assert process.stdout
    assert process.stdout.read(5) == b"ready"
    process.kill()
    # Its end of the pipe closes when the child has ended, too.
    assert select.select([process.stdout], [], [], 30)[0], "it outlives its parent"
    assert process.stdout.read() == b""
    process.wait()


def test_a_parent_that_has_ended_already_is_noticed(tmp_path: Path) -> None:
    program = """
import os
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.features import SandboxError
from feature_ops.sandbox.profile import Profile
try:
    confine(Profile(), parent=os.getpid())
except SandboxError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={"PYTHONPATH": "plugins"},
    )
    assert done.stdout == "the parent process has ended\n", done.stderr

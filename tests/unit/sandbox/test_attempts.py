"""What code inside of a sandbox tries against the kernel, by class of system call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.unit.sandbox.outside import Outside, outside, state

__all__ = ["outside"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")

PROGRAM = Path(__file__).with_name("attempts.py")
REFUSED = {"EPERM", "EACCES", "EXDEV"}
KILLED = {"SIGSYS"}
NOT_THERE = {"ENOSYS"}
NO_MEMORY = {"MemoryError", "ENOMEM"}


def each(names: Iterable[str], results: set[str]) -> dict[str, set[str]]:
    return {name: results for name in names}


# attempt → what may come of it; all others must be refused
EXPECTED: dict[str, set[str]] = {
    **each(("setxattr", "removexattr", "getxattr"), {"EOPNOTSUPP", "ENOTSUP"}),
    **each(("clone3", "pidfd", "watch files", "unknown call", "future call"), NOT_THERE),
    **each(("private memory", "address space"), NO_MEMORY),
    **each(("4,000 threads", "memory made read-only"), {"limited"}),
    "open files": {"EMFILE"},
    "large file": {"EFBIG"},
    "raise a limit": {"ValueError"},
    "capabilities": {"[0, 0, 0]"},
    "bounding capabilities": {"0"},
    "ambient capabilities": {"0"},
    "no new privileges": {"1"},
    **each(
        (
            *(
                "handle",
                "ptrace",
                "read memory",
                "write memory",
                "compare",
                "move pages",
                "host name",
                "set the clock",
            ),
            *("unshare", "setns", "mount", "new mount", "unmount", "chroot", "pivot_root", "bpf", "io_uring"),
            *("userfaultfd", "perf", "keys", "add a key", "module", "kexec", "reboot", "swap", "kernel log"),
        ),
        KILLED,
    ),
    # what must work
    "write": {"[]"},
    "read what is readable": {"7"},
    "thread": {"ran"},
    "sysconf": {"[true, true]"},
    "load a library": {"decimal"},
    "private map": {"4096"},
    "read-only map": {"7"},
    **each(("own signal", "sleep", "lower a limit"), {"null"}),
    "abort": {"SIGABRT"},
    "random": {"8"},
    "clock": {"true"},
    "own limits": {"[0, 0]"},
    "affinity is read": {"true"},
    "pipe": {"[null, null]"},
    "null device": {"1"},
    "name a thread": {"0"},
}


@pytest.fixture(scope="module")
def before(outside: Outside) -> dict[str, Any]:
    return state(outside)


@pytest.fixture(scope="module")
def outcomes(outside: Outside, before: dict[str, Any]) -> dict[str, str]:
    """Every attempt, made by this user."""
    return attempt(outside)


def attempt(outside: Outside, **options: bool) -> dict[str, str]:
    request = {
        "victim": str(outside.victim),
        "readable": str(outside.readable),
        "scratch": str(outside.scratch),
        "process": outside.process,
        **options,
    }
    done = subprocess.run(
        [sys.executable, "-B", str(PROGRAM), json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PROJECT,
        env={"PYTHONPATH": str(PROJECT / "plugins"), "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["missing"]) <= {"thread_limit"}
    found = {name: one if isinstance(one, str) else json.dumps(one) for name, one in report["found"].items()}
    # Where this user can't have a count of threads, nor drop what programs gain from.
    unlimited = ("4,000 threads", "bounding capabilities") if report["missing"] else ()
    return {name: one for name, one in found.items() if name not in unlimited}


def wrong(outcomes: dict[str, str]) -> dict[str, str]:
    """Return the attempts that came to what they may not."""
    return {
        name: found
        for name, found in outcomes.items()
        if found not in EXPECTED.get(name, REFUSED) and not (name.startswith("read /") and found == "ENOENT")
    }


def test_every_attempt_comes_to_what_it_may(outcomes: dict[str, str]) -> None:
    assert len(outcomes) > 130
    assert len(set(EXPECTED) - set(outcomes)) <= 2
    assert wrong(outcomes) == {}


def test_nothing_outside_has_changed(
    outside: Outside, outcomes: dict[str, str], before: dict[str, Any]
) -> None:
    assert outcomes
    assert state(outside) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another identity")
def test_the_same_holds_for_an_ordinary_user(outside: Outside, outcomes: dict[str, str]) -> None:
    outside.scratch.chmod(0o777)
    for folder in (outside.victim.parent, *outside.victim.parent.parents[:3]):
        if folder.stat().st_uid == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    ordinary = attempt(outside, user=True)
    # Python itself may be in a folder of root.
    ordinary.pop("load a library")
    assert wrong(ordinary) == {}

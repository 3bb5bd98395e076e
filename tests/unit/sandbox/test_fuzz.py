"""Random system calls from inside of a sandbox change nothing outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.unit.sandbox.outside import Outside, outside, state

__all__ = ["outside"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")

# More with FEATURE_OPS_FUZZ_FORKS=2000; another seed with FEATURE_OPS_FUZZ_SEED.
FORKS = os.environ.get("FEATURE_OPS_FUZZ_FORKS", "60")
SEED = os.environ.get("FEATURE_OPS_FUZZ_SEED", "22")


def test_random_calls_change_nothing_outside_and_leave_the_parent_unharmed(outside: Outside) -> None:
    before = state(outside)
    done = subprocess.run(
        [
            *(sys.executable, "-B", str(Path(__file__).with_name("fuzz.py"))),
            *(str(outside.scratch), str(outside.victim), str(outside.process), FORKS, SEED),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=outside.victim.parent,
        env={"PYTHONPATH": str(PROJECT / "plugins"), "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(report["ends"].values()) == int(FORKS), "each fork has ended"
    assert report["ends"].get("SIGSYS", 0) > int(FORKS) // 4, "dangerous calls were among them"
    assert report["nice"] == os.getpriority(os.PRIO_PROCESS, 0)
    assert state(outside) == before

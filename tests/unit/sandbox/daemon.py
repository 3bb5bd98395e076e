"""
A guard whose program leaves processes behind, in sessions of their own.

``python daemon.py <scratch> <namespace or reaper> <how the program ends>``
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from feature_ops.sandbox import containment
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.features import Feature
from feature_ops.sandbox.libc import prctl
from feature_ops.sandbox.profile import PYTHON_FILES, Limits, Profile


def leave_daemons(scratch: Path, ends: str) -> None:
    """Enter the sandbox, fork daemons of daemons, then end or wait."""
    profile = Profile(
        (*PYTHON_FILES, Path(sys.base_prefix)), (scratch,), processes=True, limits=Limits(threads=None)
    )
    confine(profile)
    for number in range(3):
        if os.fork() == 0:
            prctl(1, 0)
            os.setsid()
            if os.fork() == 0:
                os.setsid() if number == 1 else None
                # A test sees by the lock whether it lives: its number is that of its namespace.
                held = os.open(scratch / f"daemon{number}", os.O_CREAT | os.O_RDWR)
                os.lockf(held, os.F_LOCK, 0)
                (scratch / f"ready{number}").touch()
                time.sleep(600)
            os._exit(0)
    while len(list(scratch.glob("ready*"))) < 3:
        time.sleep(0.01)
    (scratch / "all").touch()
    if ends == "waits":
        time.sleep(600)
    os._exit(int(ends))


def main() -> None:
    scratch, kind, ends = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if kind == "reaper":
        containment.enter_user_namespace = lambda *_: False  # type: ignore[assignment]
        containment._enter_as_root = lambda: False
    missing = containment.prepare()
    assert (Feature.PROCESS_NAMESPACE in missing) == (kind == "reaper"), missing
    sys.exit(containment.run_contained(lambda: leave_daemons(scratch, ends), 0, missing))


if __name__ == "__main__":
    main()

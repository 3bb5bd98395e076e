"""Programs of the machine that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest

# Where Debian puts what only podman starts.
_FOLDERS = "/usr/lib/podman"


def need(*names: str) -> None:
    """Skip the test, saying why, where a program is missing; fail it in CI, whose machine is prepared."""
    path = f"{os.environ['PATH']}{os.pathsep}{_FOLDERS}"
    missing = " ".join(name for name in names if shutil.which(name, path=path) is None)
    if missing:
        message = f"no {missing} on this machine (Debian: apt-get install {missing})"
        if os.environ.get("CI"):
            pytest.fail(f"{message}: .ci/run installs it")
        pytest.skip(message)

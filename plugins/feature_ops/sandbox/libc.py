"""The C library, whose functions Python does not offer are called through ctypes."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any

from feature_ops.sandbox.features import SandboxError


@lru_cache(maxsize=1)
def load_libc() -> Any:
    """Return the C library with the error number of its calls."""
    return ctypes.CDLL(None, use_errno=True)


def failure(what: str) -> SandboxError:
    """Return the error of the last call that failed."""
    return SandboxError(f"{what}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, *arguments: int) -> int:
    """Call ``prctl`` with its up to four arguments; returns -1 if it fails."""
    filled = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    result: int = load_libc().prctl(option, *filled)
    return result

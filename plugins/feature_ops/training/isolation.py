"""
Give a training its own processes, its own ``/proc`` and its own ``/dev/shm``.

Namespaces need privileges or a kernel that lets users make user namespaces; containers often have neither.
Standard library only: it runs between fork and exec.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from feature_ops.sandbox.identity import CLONE_NEWPID, enter_user_namespace
from feature_ops.sandbox.libc import load_libc

_NEW_MOUNTS, _NEW_IPC = 0x00020000, 0x08000000
_NOSUID, _NODEV, _NOEXEC, _RECURSIVE, _PRIVATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 18

#: Where the C library keeps semaphores and shared memory.
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - one of its own is mounted there
_SHARED_MEMORY_SIZE = "512m"


@dataclass(frozen=True)
class Views:
    """Which file systems a training has of its own."""

    proc: bool = False
    shared_memory: bool = False


def enter_namespaces() -> bool:
    """
    Put the processes that this one starts into namespaces of their own; call it once, without threads.

    :return: whether the machine allows it; the next child is then the first process of its namespace.
    """
    if sys.platform != "linux":
        return False
    flags = _NEW_MOUNTS | _NEW_IPC | CLONE_NEWPID
    return load_libc().unshare(flags) == 0 or enter_user_namespace(flags)


def mount_views() -> Views:
    """Mount ``/proc`` and ``/dev/shm`` for the processes of the namespaces; returns what was possible."""
    libc = load_libc()
    if libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None) != 0:
        return Views()
    flags = _NOSUID | _NODEV | _NOEXEC
    proc = libc.mount(b"proc", b"/proc", b"proc", flags, None) == 0
    options = f"size={_SHARED_MEMORY_SIZE},mode=1777".encode()
    shared = os.path.isdir(SHARED_MEMORY) and (
        libc.mount(b"tmpfs", SHARED_MEMORY.encode(), b"tmpfs", flags, options) == 0
    )
    return Views(proc, shared)

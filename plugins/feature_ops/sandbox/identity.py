"""Count the threads of the current process apart from those of other processes of the same user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from feature_ops.sandbox.libc import load_libc

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
# Real user ids that nobody has: the kernel counts threads by real user id.
_UNUSED = 0x70000000


def count_apart(starts_programs: bool) -> bool:
    """
    Give the process a count of threads of its own; returns whether that worked.

    An ordinary user enters a user namespace. Root, whom the kernel does not limit, takes a real user id that
    is not used; the effective one, which files are checked by, stays. A program that root starts would take
    the difference for a set-id bit, so that this is left out where programs are started.
    """
    if sys.platform != "linux":
        return False
    if os.geteuid() != 0:
        return enter_user_namespace()
    if starts_programs:
        return False
    keep = -1
    try:
        os.setresuid(_UNUSED + os.getpid() % _UNUSED, keep, keep)
    except OSError:
        return False
    return True


def enter_user_namespace(also: int = 0) -> bool:
    """
    Enter a new user namespace in which user and group have the same numbers; returns whether that worked.

    :param also: further namespaces, such as :data:`CLONE_NEWPID`.
    """
    user, group = os.geteuid(), os.getegid()
    if load_libc().unshare(CLONE_NEWUSER | also) != 0:
        return False
    own = Path("/proc/self")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        try:
            (own / name).write_text(text)
        except OSError:
            return True  # the numbers look foreign, and mean the same
    return True

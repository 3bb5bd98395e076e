"""
Restrict files, TCP ports and signals of the current process by Landlock, for good.

See https://docs.kernel.org/userspace-api/landlock.html. Needs no privileges. Landlock does not check reading
names, sizes and modes of files, nor changing modes, owners and times; the filter of system calls refuses to
change them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from feature_ops.sandbox.libc import failure, load_libc
from feature_ops.sandbox.profile import Profile

# The same numbers on every architecture.
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_GET_VERSION, _PATH_BENEATH, _PORT = 1, 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _IOCTL = (
    1 << bit for bit in (0, 1, 2, 3, 14, 15)
)
_MAKE_SYMLINK, _REFER = 1 << 12, 1 << 13
_REMOVE, _MAKE_FOLDER, _MAKE_FILE = 1 << 4 | 1 << 5, 1 << 7, 1 << 8
_READ = _READ_FILE | _READ_FOLDER
# No devices, sockets and named pipes.
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE | _MAKE_FOLDER | _MAKE_FILE | _REFER
# Rules about something other than a folder may have these only.
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
# All rights on files that a version of the interface knows.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND, _CONNECT = 1, 2
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2
#: Versions from which on there are ports, and limits to signals.
NETWORK, SIGNALS = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """Return the version of the kernel's interface (its ABI), 0 if there is none."""
    if sys.platform != "linux":
        return 0
    found: int = load_libc().syscall(_CREATE, None, ctypes.c_size_t(0), _GET_VERSION)
    return max(found, 0)


def restrict(profile: Profile) -> None:
    """
    Refuse all files and ports that a profile does not name. Needs ``no_new_privs`` and a single thread.

    :raises SandboxError: if the kernel refuses it.
    """
    abi = version()
    rights = _RIGHTS[min(abi, max(_RIGHTS))]
    ruleset = _create(abi, rights)
    try:
        for path, wanted in _paths(profile):
            _allow_path(ruleset, path, wanted & rights)
        if abi >= NETWORK:
            for port in profile.ports:
                _add(ruleset, _PORT, _PortRule(_CONNECT, port), f"port {port}")
        if load_libc().syscall(_RESTRICT, ruleset, 0) != 0:
            raise failure("Landlock can't be entered")
    finally:
        os.close(ruleset)


def _create(abi: int, rights: int) -> int:
    attributes = _Ruleset(
        rights,
        _BIND | _CONNECT if abi >= NETWORK else 0,
        _ABSTRACT_SOCKETS | _SIGNALS if abi >= SIGNALS else 0,
    )
    size = 24 if abi >= SIGNALS else 16 if abi >= NETWORK else 8
    ruleset: int = load_libc().syscall(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise failure("Landlock has no rules")
    return ruleset


def _paths(profile: Profile) -> Iterable[tuple[Path, int]]:
    writing = _WRITE | _MAKE_SYMLINK if profile.processes else _WRITE
    yield from ((path, _READ) for path in profile.readable)
    yield from ((path, _READ | _EXECUTE) for path in profile.executable)
    yield from ((path, writing) for path in (*profile.writable, Path(os.devnull)))


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a path that does not exist needs no right
    try:
        if not path.is_dir():
            rights &= _OF_A_FILE
        _add(ruleset, _PATH_BENEATH, _PathRule(rights, parent), str(path))
    finally:
        os.close(parent)


def _add(ruleset: int, kind: int, rule: ctypes.Structure, what: str) -> None:
    if load_libc().syscall(_ADD_RULE, ruleset, kind, ctypes.byref(rule), 0) != 0:
        raise failure(f"Landlock does not take {what}")

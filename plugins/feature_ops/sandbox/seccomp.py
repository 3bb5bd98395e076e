"""Install a filter of system calls (seccomp) in the current process, for good."""

from __future__ import annotations

import ctypes
import platform
import sys

from feature_ops.sandbox.bpf import Step, assemble, errno_of
from feature_ops.sandbox.features import SandboxError
from feature_ops.sandbox.libc import failure, load_libc
from feature_ops.sandbox.numbers import ARCHITECTURES, Architecture, numbers
from feature_ops.sandbox.profile import Profile
from feature_ops.sandbox.system_calls import decisions

_SET_MODE_FILTER, _GET_ACTION_AVAILABLE = 1, 2
_ALL_THREADS = 1
_ENOSYS = 38
# The result of a filter that is newest: Linux 4.14.
_KILL_PROCESS = 0x80000000


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def is_available() -> bool:
    """Whether the kernel and the processor have filters that this package knows."""
    architecture = _architecture()
    if architecture is None:
        return False
    action = ctypes.c_uint32(_KILL_PROCESS)
    number = numbers(architecture)["seccomp"]
    available: int = load_libc().syscall(number, _GET_ACTION_AVAILABLE, 0, ctypes.byref(action))
    return available == 0


def program(architecture: Architecture, profile: Profile, pid: int) -> list[Step]:
    """Return the filter of a profile."""
    return assemble(architecture, decisions(architecture, profile, pid), unknown=errno_of(_ENOSYS))


def install(profile: Profile, pid: int) -> None:
    """
    Allow only a profile's system calls from now on. Needs ``no_new_privs``.

    :raises SandboxError: if the kernel refuses the filter.
    """
    architecture = _architecture()
    if architecture is None:
        raise SandboxError(f"there is no seccomp filter for {platform.machine()}")
    steps = program(architecture, profile, pid)
    filled = (_Step * len(steps))(*(_Step(*step) for step in steps))
    number = numbers(architecture)["seccomp"]
    done: int = load_libc().syscall(
        number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(_Program(len(steps), filled))
    )
    if done != 0:
        raise failure("the seccomp filter can't be installed")


def _architecture() -> Architecture | None:
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    return ARCHITECTURES.get(platform.machine())

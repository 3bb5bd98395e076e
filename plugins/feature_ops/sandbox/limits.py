"""Limit memory, threads, files and processor time of the current process."""

from __future__ import annotations

import resource
import sys

from feature_ops.sandbox.profile import Limits

_MIB = 1 << 20
# Room to report a memory error.
_SPARE = 64 * _MIB
_STACK = 64 * _MIB
# Addresses that libraries map without taking memory: their code, and heaps that they reserve.
_RESERVED = 512 * _MIB
_UNKNOWN_SIZE = 2048 * _MIB


def apply_limits(limits: Limits) -> None:
    """Lower the limits of the current process; a limit that is lower already stays."""
    if limits.memory is not None:
        _limit_memory(limits.memory)
    if limits.file is not None:
        _lower(resource.RLIMIT_FSIZE, limits.file, limits.file)
    if limits.seconds is not None:
        _lower(resource.RLIMIT_CPU, int(limits.seconds) + 5, int(limits.seconds) + 10)
    if limits.files is not None:
        _lower(resource.RLIMIT_NOFILE, limits.files, limits.files)
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_STACK, _STACK, _STACK)
    # Linux has these: locked memory, POSIX message queues, real-time and higher priorities.
    for name in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO", "RLIMIT_NICE"):
        if hasattr(resource, name):
            _lower(getattr(resource, name), 0, 0)


def limit_threads(threads: int) -> None:
    """Limit threads and processes of the current user; see :func:`identity.count_apart`."""
    _lower(resource.RLIMIT_NPROC, threads, threads)


def make_room() -> None:
    """Allow the little more memory that reporting a memory error takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _limit_memory(memory: int) -> None:
    """
    Limit private memory that can be written to, and the address space.

    The first is what honest code exceeds. It does not count memory that is made read-only after it was
    filled, nor page tables; the second does.
    """
    data = _size("VmData:") + memory
    _lower(resource.RLIMIT_DATA, data, data + _SPARE)
    if sys.platform != "linux":
        return  # others reserve far more than they use
    space = _size("VmSize:") + memory + _SPARE + _RESERVED
    _lower(resource.RLIMIT_AS, space, space)


def _lower(kind: int, soft: int, hard: int) -> None:
    now_soft, now_hard = resource.getrlimit(kind)
    soft, hard = _lowest(soft, now_soft, now_hard), _lowest(hard, now_hard)
    resource.setrlimit(kind, (soft, hard))


def _lowest(*values: int) -> int:
    return min(value for value in values if value != resource.RLIM_INFINITY)


def _size(name: str) -> int:
    try:
        with open("/proc/self/status") as file:
            sizes = [int(line.split()[1]) for line in file if line.startswith(name)]
    except OSError:
        return _UNKNOWN_SIZE
    return sizes[0] * 1024

"""
Takes from the current process what a feature repository's code does not need.

Limits on memory and files hold everywhere. On Linux the kernel also refuses network, other
processes (seccomp) and all files but a few (Landlock); both need no privileges, hold within
containers, and can't be undone. Elsewhere an audit hook refuses the same to Python code, which a
determined author gets around.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

_MIB = 1 << 20
# Room to tell of a memory error.
_SPARE = 64 * _MIB

_NO_PROCESSES = "feature definitions may not start processes"
_NO_NETWORK = "feature definitions may not use the network"
_REFUSED = {
    **dict.fromkeys(
        ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen", "pty.spawn"),
        _NO_PROCESSES,
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
        _NO_NETWORK,
    ),
}


#: What Python and its libraries read besides their own folders.
READABLE = tuple(
    Path(path)
    for path in (
        *(
            "/usr",
            "/lib",
            "/lib64",
            "/bin",
            "/etc/ld.so.cache",
            "/etc/localtime",
            "/etc/ssl",
            "/etc/mime.types",
        ),
        *("/dev/urandom", "/dev/random", "/dev/zero", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"),
        *("/sys/devices/system/cpu", "/System", "/Library"),
    )
)


def limit_resources(memory_mb: int, file_mb: int, seconds: float) -> None:
    """
    Limit memory, files and processor time.

    :param memory_mb: memory beyond what the process has now, in MiB.
    :param file_mb: size of any file that it writes, in MiB.
    :param seconds: processor time; the wall clock is the parent's to watch.
    """
    memory = _data_size() + memory_mb * _MIB
    _limit(resource.RLIMIT_DATA, memory, memory + _SPARE)
    _limit(resource.RLIMIT_FSIZE, file_mb * _MIB, file_mb * _MIB)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_CPU, int(seconds) + 5, int(seconds) + 10)


def make_room() -> None:
    """Allow the little more memory that telling of a memory error takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def refuse(readable: Iterable[Path], writable: Path) -> list[str]:
    """
    Refuse network, other processes and other files from now on.

    :param readable: folders and files that may be read, with all in them.
    :param writable: the one folder that may be written to.
    :return: what this platform does not refuse, in words; empty on a current Linux.
    """
    sys.addaudithook(_audit)
    missing: list[str] = []
    if sys.platform != "linux":
        return [f"{sys.platform} has no means to cut off network, processes and files"]
    libc = ctypes.CDLL(None, use_errno=True)
    # Without it neither of the two is allowed to an ordinary user.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Should the parent be killed, nothing is left running.
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if not _restrict_files(libc, readable, writable):
        missing.append("this kernel has no Landlock, so that any file of this user can be read")
    if not _restrict_calls(libc):
        missing.append(
            "this kernel or processor has no seccomp filter, so that network and processes are open"
        )
    return missing


def _audit(event: str, arguments: Any) -> None:
    if event in _REFUSED:
        # Many a library tries and goes on without, if it is told so by the operating system.
        raise PermissionError(errno.EPERM, _REFUSED[event])


def _limit(kind: int, soft: int, hard: int) -> None:
    _, highest = resource.getrlimit(kind)
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), min(hard, highest)
    resource.setrlimit(kind, (soft, hard))


def _data_size() -> int:
    try:
        with open("/proc/self/status") as file:
            sizes = [int(line.split()[1]) for line in file if line.startswith("VmData:")]
    except OSError:
        return 2048 * _MIB
    return sizes[0] * 1024


# --- Landlock: https://docs.kernel.org/userspace-api/landlock.html

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION, _LANDLOCK_PATH_BENEATH = 1, 1
_READ = 1 << 2 | 1 << 3
_EXECUTE, _WRITE_FILE, _READ_FILE, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 14
# Rights on files by version of the interface, all that it knows.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TO_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _restrict_files(libc: Any, readable: Iterable[Path], writable: Path) -> bool:
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]
    attributes = _Ruleset(rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for path in readable:
        _allow(libc, ruleset, path, _READ & rights)
    _allow(libc, ruleset, Path(os.devnull), (_READ_FILE | _WRITE_FILE) & rights)
    _allow(libc, ruleset, writable, rights & ~_EXECUTE)
    done: int = libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return done == 0


def _allow(libc: Any, ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no right
    if not path.is_dir():
        rights &= _TO_A_FILE
    rule = _PathRule(rights, parent)
    libc.syscall(_LANDLOCK_ADD, ruleset, _LANDLOCK_PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(parent)


# --- seccomp: https://docs.kernel.org/userspace-api/seccomp_filter.html


class _Calls(NamedTuple):
    """Numbers of system calls on one kind of processor."""

    architecture: int
    refused: tuple[int, ...]
    clone: int
    clone3: int
    own_process_only: tuple[int, ...]
    limits: int


# refused: fork, vfork, execve, execveat, socket, ptrace, process_vm_readv and writev, tkill,
# rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open, pidfd_send_signal, mount, umount2, pivot_root,
# unshare, setns, add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd, and io_uring_setup,
# which would get around the filter. Only to its own process: kill, tgkill.
_PROCESSORS = {
    "x86_64": _Calls(
        0xC000003E,
        (
            *(57, 58, 59, 322, 41, 101, 310, 311, 200, 129, 297, 434, 424),
            *(165, 166, 155, 272, 308, 248, 249, 250, 321, 298, 323, 425),
        ),
        56,
        435,
        (62, 234),
        302,
    ),
    "aarch64": _Calls(
        0xC00000B7,
        (
            *(221, 281, 198, 117, 270, 271, 130, 138, 240, 434, 424),
            *(40, 39, 41, 97, 268, 217, 218, 219, 280, 241, 282, 425),
        ),
        220,
        435,
        (129, 131),
        261,
    ),
}
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_SECCOMP_MODE_FILTER = 2
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# Operations of the kernel's filter machine: load a word, jump if equal, if greater or equal, if any
# bit is set, return.
_LOAD, _EQUAL, _GREATER, _ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_CALL, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def _restrict_calls(libc: Any) -> bool:
    calls = _PROCESSORS.get(platform.machine())
    if calls is None or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return False
    steps = _steps(calls)
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    done: int = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return done == 0


def _steps(calls: _Calls) -> list[_Step]:
    refuse = _Step(_RETURN, 0, 0, _ERROR | errno.EPERM)
    steps = [
        _Step(_LOAD, 0, 0, _AT_ARCHITECTURE),
        _Step(_EQUAL, 1, 0, calls.architecture),
        _Step(_RETURN, 0, 0, _KILL),
        _Step(_LOAD, 0, 0, _AT_CALL),
        # The same kernel's other numbering.
        _Step(_GREATER, 0, 1, _X32_BIT),
        refuse,
        # The C library then takes clone, whose arguments a filter can see.
        _Step(_EQUAL, 0, 1, calls.clone3),
        _Step(_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    for number in calls.refused:
        steps += [_Step(_EQUAL, 0, 1, number), refuse]
    # A thread is no process.
    steps += _unless(calls.clone, _Step(_ANY, 0, 1, _CLONE_THREAD))
    for number in calls.own_process_only:
        steps += _unless(number, _Step(_EQUAL, 0, 1, os.getpid()))
    steps += _unless(calls.limits, _Step(_EQUAL, 0, 1, 0))
    return [*steps, _Step(_RETURN, 0, 0, _ALLOW)]


def _unless(call: int, test: _Step) -> list[_Step]:
    """Refuse a call unless the test on its first argument holds."""
    return [
        _Step(_EQUAL, 0, 4, call),
        _Step(_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        test,
        _Step(_RETURN, 0, 0, _ALLOW),
        _Step(_RETURN, 0, 0, _ERROR | errno.EPERM),
    ]

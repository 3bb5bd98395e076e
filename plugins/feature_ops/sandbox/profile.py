"""What a sandboxed process may use: paths, ports, processes, limits. The rest is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Libraries start up to two threads per processor.
_THREADS = 64 + 2 * (os.cpu_count() or 1)

#: What Python and its libraries read besides their own folders.
PYTHON_FILES = tuple(
    Path(path)
    for path in (
        *("/usr", "/lib", "/lib64", "/bin", "/System", "/Library"),
        *("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/ssl/certs", "/etc/ssl/openssl.cnf"),
        # Not /dev/zero: mapping it shared takes memory that no limit counts.
        *("/dev/urandom", "/dev/random"),
        # Memory map and sizes of the process, and the machine's processors and memory.
        *("/proc/self/maps", "/proc/self/stat", "/proc/self/statm", "/proc/self/status"),
        *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory"),
        *("/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage"),
    )
)

#: What clients of a network read in addition: name resolution and certificates.
NETWORK_FILES = tuple(
    Path("/etc") / name
    for name in (
        *("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols"),
        "ca-certificates",
    )
)


@dataclass(frozen=True)
class Limits:
    """
    Resource limits. None leaves a limit as it is.

    :param memory: bytes of private memory beyond what the process has now.
    :param file: bytes of any file that it writes.
    :param seconds: processor time; the caller watches the wall clock.
    :param threads: threads, and processes if the profile allows them.
    :param files: open files.
    """

    memory: int | None = None
    file: int | None = None
    seconds: float | None = None
    threads: int | None = _THREADS
    files: int | None = 256


@dataclass(frozen=True)
class Profile:
    """
    What a sandboxed process may do. The default is a process that only computes.

    :param readable: files and folders that it may read, with all in them.
    :param writable: folders in which it may create, change and delete files and folders; and files and
        devices that it may write to.
    :param executable: files and folders whose programs it may start; needs ``processes``.
    :param processes: whether it may start processes. They are sandboxed like it. Signals reach the
        sandbox's own processes only (Landlock ABI 6, or a process namespace). Without it the process signals
        only itself.
    :param ports: TCP ports that it may connect to, at any address (Landlock ABI 4). Without ports there are
        no sockets. UDP is always refused: name resolution needs port 53 and ``RES_OPTIONS=use-vc``.
    :param attributes: what ``chmod``, ``chown`` and ``utime`` do. Both change nothing: ``refuse`` fails with
        EPERM, ``ignore`` reports success, for programs that copy files with their modes.
    :param shared_memory: whether it may map memory that its processes share.
    :param limits: its resource limits.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    executable: tuple[Path, ...] = ()
    processes: bool = False
    ports: tuple[int, ...] = ()
    attributes: Literal["refuse", "ignore"] = "refuse"
    shared_memory: bool = False
    limits: Limits = Limits()

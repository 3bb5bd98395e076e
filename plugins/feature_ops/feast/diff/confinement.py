"""
Sandbox the process that runs a feature repository's code or reads an untrusted file.

On Linux the kernel refuses what the profile does not name: see :mod:`feature_ops.sandbox`. Elsewhere an audit
hook refuses network and processes to Python code, which native code gets around.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.features import Feature
from feature_ops.sandbox.limits import apply_limits, make_room
from feature_ops.sandbox.profile import PYTHON_FILES, Limits, Profile

__all__ = ["READABLE", "limit_resources", "make_room", "refuse"]

_MIB = 1 << 20
READABLE = PYTHON_FILES

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


def limit_resources(memory_mb: int, file_mb: int, seconds: float) -> None:
    """
    Limit memory, files, threads' address space and processor time.

    :param memory_mb: memory beyond what the process has now, in MiB.
    :param file_mb: size of any file that it writes, in MiB.
    :param seconds: processor time; the wall clock is the parent's to watch.
    """
    apply_limits(Limits(memory=memory_mb * _MIB, file=file_mb * _MIB, seconds=seconds))


def refuse(
    readable: Iterable[Path],
    writable: Path,
    *,
    required: Collection[str] = (),
    parent: int | None = None,
) -> list[Feature]:
    """
    Refuse network, other processes and other files from now on, for good.

    :param readable: folders and files that may be read, with all in them.
    :param writable: the one folder that may be written to.
    :param required: see :func:`feature_ops.sandbox.confine.confine`, and so ``parent``.
    :return: the protections that this machine lacks; empty on a current Linux.
    """
    profile = Profile(readable=tuple(readable), writable=(writable,))
    missing = confine(profile, required=required, parent=parent)
    sys.addaudithook(_audit)
    return missing


def _audit(event: str, arguments: Any) -> None:
    if event in _REFUSED:
        # Libraries go on without what the operating system refuses.
        raise PermissionError(errno.EPERM, _REFUSED[event])

"""
Run a sandboxed process so that it ends with all that it started, however its guard ends.

Within a process namespace the kernel kills every process as soon as the first one ends, and the first one
ends with the guard. Where the machine allows no namespace, the guard adopts processes that leave their
session, and kills them; they survive only if the guard itself is killed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from feature_ops.sandbox.confine import end_with_parent
from feature_ops.sandbox.features import Feature
from feature_ops.sandbox.identity import CLONE_NEWPID, enter_user_namespace
from feature_ops.sandbox.libc import load_libc, prctl

_PR_SET_CHILD_SUBREAPER = 36


def prepare() -> list[Feature]:
    """
    Make the current process the guard of its future children; it must have a single thread.

    :return: :attr:`Feature.PROCESS_NAMESPACE` if the machine allows no process namespace, else nothing.
    """
    if sys.platform != "linux":
        return [Feature.PROCESS_NAMESPACE]
    if _enter_as_root() or enter_user_namespace(CLONE_NEWPID):
        return []
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return [Feature.PROCESS_NAMESPACE]


def _enter_as_root() -> bool:
    return os.geteuid() == 0 and load_libc().unshare(CLONE_NEWPID) == 0


def run_contained(start: Callable[[], None], lifeline: int, missing: list[Feature]) -> int:
    """
    Run a function in a child process until it and all that it started have ended.

    All end as well on SIGTERM, when this process is killed, and when the other end of the lifeline is closed.

    :param start: enters the sandbox and starts the program by ``exec``.
    :param lifeline: file descriptor of a pipe that nobody writes to.
    :param missing: what :func:`prepare` returned.
    :return: the exit code, or 128 and the number of the signal that ended it.
    """
    wakeup, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    namespace = Feature.PROCESS_NAMESPACE not in missing

    def begin() -> None:
        # The program must not take the lifeline for its input.
        os.dup2(os.open(os.devnull, os.O_RDONLY), lifeline)
        os.setsid()
        start()

    first = _fork(_lead if namespace else _run, begin)
    code = None
    while code is None:
        readable, _, _ = select.select([wakeup, lifeline], [], [])
        stop = lifeline in readable or signal.SIGTERM in os.read(wakeup, 64)
        if stop:
            os.kill(first, signal.SIGKILL)
            code = _code(os.waitpid(first, 0)[1])
        else:
            code = _ended(first)
    while not namespace and _kill_descendants():
        pass
    return code


def _fork(run: Callable[[Callable[[], None]], None], start: Callable[[], None]) -> int:
    """Return the number of a child that runs a function, and that the kernel kills when this process ends."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(reading)
        os.write(writing, b"1")
        os.close(writing)
        return child
    try:
        os.close(writing)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        end_with_parent(os.getppid())
        # Nothing to read: the parent ended before the kernel knew.
        if os.read(reading, 1):
            os.close(reading)
            run(start)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(70)  # EX_SOFTWARE


def _run(start: Callable[[], None]) -> None:
    start()


def _lead(start: Callable[[], None]) -> None:
    """Lead a process namespace: reap the processes that it adopts, and end with the first child."""
    child = _fork(_run, start)
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(_code(status))


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _ended(child: int) -> int | None:
    """Reap what has ended; return the exit code if the child is among it."""
    code = None
    with suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                break
            if ended == child:
                code = _code(status)
    return code


def _kill_descendants() -> bool:
    """Kill and reap every process that descends from this one; returns whether there was any."""
    found = list(_descendants(os.getpid()))
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    if found:
        time.sleep(0.01)  # until the kernel has ended them
    return bool(found)


def _descendants(of: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may contain anything; state and parent follow it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    pending = [of]
    while pending:
        for child in children.get(pending.pop(), []):
            pending.append(child)
            yield child

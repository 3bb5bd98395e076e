"""
Random system calls from inside of a sandbox, in forks that end early or late.

All paths are within a folder of the test: should the sandbox fail, the machine stays as it is.

``python fuzz.py <scratch> <victim> <process> <forks> <seed>`` prints how many forks ended in which way.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import select
import signal
import sys
from collections import Counter
from pathlib import Path

from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.libc import load_libc
from feature_ops.sandbox.numbers import ARCHITECTURES, numbers
from feature_ops.sandbox.profile import PYTHON_FILES, Limits, Profile
from feature_ops.sandbox.system_calls import DANGEROUS

CALLS = 400
# Until a fork that waits is ended; and until one that has put that off.
SECONDS, PATIENCE = 0.3, 10.0
NUMBERS = numbers(ARCHITECTURES[platform.machine()])
# Allowed, and the end of the fork or of its progress: they would only hide what else is random.
ENDS = """
exit exit_group pause rt_sigsuspend rt_sigtimedwait rt_sigreturn nanosleep clock_nanosleep ppoll poll
select pselect6 epoll_wait epoll_pwait epoll_pwait2 futex futex_wait futex_waitv munmap mremap mprotect
brk arch_prctl close_range uretprobe alarm setitimer rt_sigprocmask set_robust_list set_tid_address rseq
mmap madvise restart_syscall sigaltstack
"""


def fuzz(generator: random.Random, victim: str, process: int, scratch: str) -> None:
    """
    Make random calls; most arguments are meaningful, so that they get past the first checks.

    Every other fork leaves out those that end it, so that it gets far.
    """
    gets_far = generator.random() < 0.5
    texts = [ctypes.create_string_buffer(text.encode()) for text in (victim, scratch, "x", ".")]
    room = ctypes.create_string_buffer(4096)
    pointers = [ctypes.addressof(one) for one in (*texts, room)]
    values = [
        0,
        1,
        2,
        3,
        4,
        9,
        15,
        17,
        0o666,
        0o4777,
        -1,
        -100,
        process,
        os.getpid(),
        os.getppid(),
        4096,
        4242,
    ]
    # A thread without a stack of its own ends the fork in disorder.
    skipped = {*ENDS.split(), "clone", *(DANGEROUS if gets_far else ())}
    calls = [number for name, number in NUMBERS.items() if name not in skipped]
    libc = load_libc()
    for _ in range(CALLS):
        number = generator.choice(calls)
        if generator.random() < 0.1:
            number = generator.randrange(500, 5000 if gets_far else 1 << 31)
        arguments = [_argument(generator, values, pointers) for _ in range(6)]
        libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))


def _argument(generator: random.Random, values: list[int], pointers: list[int]) -> int:
    kind = generator.randrange(8)
    if kind < 4:
        return generator.choice(values)
    if kind < 7:
        return generator.choice(pointers)
    return generator.getrandbits(64) - (1 << 63)


def run(scratch: str, victim: str, process: int, seed: int) -> str:
    """Return how a fork that makes random calls ended."""
    readable = (*PYTHON_FILES, Path(sys.base_prefix))
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.closerange(3, 4096)
        confine(Profile(readable, (Path(scratch),), limits=Limits(memory=1 << 28, file=1 << 16, seconds=2)))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        fuzz(random.Random(seed), victim, process, scratch)
        os._exit(0)
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], PATIENCE)[0]:
        os.kill(child, signal.SIGKILL)
    os.close(handle)
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else str(os.WEXITSTATUS(status))


def main() -> None:
    scratch, victim, process, forks, seed = sys.argv[1:]
    generator = random.Random(int(seed))
    ends = Counter(run(scratch, victim, int(process), generator.getrandbits(32)) for _ in range(int(forks)))
    print(json.dumps({"ends": ends, "nice": os.getpriority(os.PRIO_PROCESS, 0)}))


if __name__ == "__main__":
    main()

"""The filter's program, run by a simulator for both architectures: no processor of either kind is needed."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from feature_ops.sandbox import bpf, system_calls
from feature_ops.sandbox.numbers import ARCHITECTURES, numbers
from feature_ops.sandbox.profile import Profile
from feature_ops.sandbox.seccomp import program
from tests.unit.sandbox.simulator import run

PID = 4711
COMPUTES = Profile()
PROGRAMS = Profile(processes=True, attributes="ignore")
CLIENT = Profile(ports=(443,))
SHARES = Profile(shared_memory=True)
PROFILES = {"computes": COMPUTES, "programs": PROGRAMS, "client": CLIENT, "shares": SHARES}
ALLOWED, EPERM, ENOSYS, KILLED, NOTHING, UNSUPPORTED = (
    bpf.ALLOW,
    bpf.ERRNO | 1,
    bpf.ERRNO | 38,
    bpf.KILL_PROCESS,
    bpf.ERRNO | 0,
    bpf.ERRNO | 95,
)
THREAD = 0x3D0F00
ANY = 0xDEAD_BEEF_0000
both = pytest.mark.parametrize("machine", ARCHITECTURES)

# profile, call, arguments, result
TABLE = [
    (COMPUTES, "read", (3, ANY, 10), ALLOWED),
    (COMPUTES, "exit_group", (0,), ALLOWED),
    # files are opened, and not cut to nothing by who may only read
    (COMPUTES, "openat", (-100, ANY, 0o2000000), ALLOWED),
    (COMPUTES, "openat", (-100, ANY, 0o1101, 0o600), ALLOWED),
    (COMPUTES, "openat", (-100, ANY, 0o102, 0o600), ALLOWED),
    (COMPUTES, "openat", (-100, ANY, 0o1000), EPERM),
    (COMPUTES, "openat", (-100, ANY, 0o3), EPERM),
    (COMPUTES, "openat", (-100, ANY, 0o101, 0o4755), EPERM),
    (COMPUTES, "openat", (-100, ANY, 0o101, 0o2755), EPERM),
    (COMPUTES, "mkdirat", (-100, ANY, 0o777), ALLOWED),
    (COMPUTES, "mkdirat", (-100, ANY, 0o2777), EPERM),
    (COMPUTES, "truncate", (ANY, 0), EPERM),
    (COMPUTES, "mknodat", (-100, ANY, 0o100600, 0), EPERM),
    # memory
    (COMPUTES, "mmap", (0, 4096, 3, 0x22, -1, 0), ALLOWED),
    (COMPUTES, "mmap", (0, 4096, 5, 0x02, 3, 0), ALLOWED),
    (COMPUTES, "mmap", (0, 4096, 0, 0x20022, -1, 0), ALLOWED),
    (COMPUTES, "mmap", (0, 4096, 1, 0x01, 3, 0), ALLOWED),
    (COMPUTES, "mmap", (0, 4096, 3, 0x01, 3, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 1, 0x21, -1, 0), EPERM),
    (COMPUTES, "mmap", (0, 3 << 30, 3, 0x21, -1, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 3, 0x03, 3, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 3, 0x122, -1, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 3, 0x40022, -1, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 3, 0x2022, -1, 0), EPERM),
    (COMPUTES, "mmap", (0, 4096, 3, 0x1_0000_0022, -1, 0), EPERM),
    (SHARES, "mmap", (0, 4096, 3, 0x21, -1, 0), ALLOWED),
    (SHARES, "mmap", (0, 4096, 3, 0x40021, -1, 0), EPERM),
    *[(profile, "memfd_create", (ANY, 0), EPERM) for profile in PROFILES.values()],
    *[
        (profile, call, (0, 4096, 0o1600), EPERM)
        for call in (
            "shmget",
            "shmat",
            "shmctl",
            "semget",
            "semop",
            "msgget",
            "msgsnd",
            "mq_open",
            "memfd_secret",
        )
        for profile in PROFILES.values()
    ],
    (COMPUTES, "remap_file_pages", (), EPERM),
    (COMPUTES, "mlockall", (1,), EPERM),
    # threads are started, processes are not
    (COMPUTES, "clone", (THREAD,), ALLOWED),
    (COMPUTES, "clone", (THREAD | 0x400000,), ALLOWED),
    (COMPUTES, "clone", (17,), EPERM),
    (COMPUTES, "clone", (0x01200011,), EPERM),
    (COMPUTES, "clone", (THREAD | 0x10000000,), EPERM),
    (COMPUTES, "clone", (THREAD | 1 << 32,), EPERM),
    (COMPUTES, "clone3", (ANY, 88), ENOSYS),
    (COMPUTES, "execve", (ANY, ANY, ANY), EPERM),
    (COMPUTES, "execveat", (-100, ANY), EPERM),
    (PROGRAMS, "clone", (0x01200011,), ALLOWED),
    (PROGRAMS, "clone", (THREAD,), ALLOWED),
    (PROGRAMS, "clone", (0x4111,), ALLOWED),
    *[(PROGRAMS, "clone", (1 << bit | 17,), EPERM) for bit in (13, 15, 17, 23, 25, 26, 27, 28, 29, 30)],
    (PROGRAMS, "clone3", (ANY, 88), ENOSYS),
    (PROGRAMS, "execve", (ANY, ANY, ANY), ALLOWED),
    (PROGRAMS, "execveat", (-100, ANY), EPERM),
    # signals, priorities, groups
    (COMPUTES, "kill", (PID, 9), ALLOWED),
    (COMPUTES, "kill", (PID + 1, 9), EPERM),
    (COMPUTES, "kill", (0, 9), EPERM),
    (COMPUTES, "kill", (-1, 9), EPERM),
    (COMPUTES, "kill", (-PID, 9), EPERM),
    (COMPUTES, "tgkill", (PID, PID, 6), ALLOWED),
    (COMPUTES, "tgkill", (1, 1, 6), EPERM),
    (COMPUTES, "tkill", (PID, 6), EPERM),
    (COMPUTES, "rt_sigqueueinfo", (PID, 6, ANY), EPERM),
    (COMPUTES, "rt_tgsigqueueinfo", (PID, PID, 6, ANY), EPERM),
    (COMPUTES, "pidfd_open", (1, 0), ENOSYS),
    *[
        (COMPUTES, call, (0, 0), EPERM)
        for call in (
            *("setsid", "setpgid", "setpriority", "ioprio_set", "sched_setaffinity", "sched_setscheduler"),
            *(
                "sched_setparam",
                "sched_setattr",
                "timer_create",
                "flock",
                "symlinkat",
                "linkat",
                "sync",
                "syncfs",
            ),
        )
    ],
    (PROGRAMS, "sched_setaffinity", (0, 8, ANY), ALLOWED),
    (PROGRAMS, "sched_setaffinity", (1, 8, ANY), EPERM),
    (PROGRAMS, "setpriority", (0, 1, 19), EPERM),
    (COMPUTES, "prlimit64", (0, 7, 0, ANY), ALLOWED),
    (COMPUTES, "prlimit64", (PID, 7, 0, ANY), ALLOWED),
    (COMPUTES, "prlimit64", (1, 7, ANY, 0), EPERM),
    (PROGRAMS, "prlimit64", (1, 7, ANY, 0), EPERM),
    # the process itself
    *[(COMPUTES, "prctl", (option, ANY), ALLOWED) for option in (3, 15, 16, 0x53564D41)],
    *[
        (profile, "prctl", (option, 0), EPERM)
        for option in (1, 4, 8, 22, 24, 28, 35, 36, 38, 47, 0x59616D61)
        for profile in PROFILES.values()
    ],
    *[
        (profile, call, (0, 0, 0), EPERM)
        for call in (
            "setuid",
            "setgid",
            "setresuid",
            "setreuid",
            "setgroups",
            "setfsuid",
            "capset",
            "personality",
        )
        for profile in PROFILES.values()
    ],
    # descriptors
    (COMPUTES, "ioctl", (1, 0x5401, ANY), ALLOWED),
    (COMPUTES, "ioctl", (1, 0x5412, ANY), EPERM),
    (COMPUTES, "ioctl", (1, 0x40086602, ANY), EPERM),
    (COMPUTES, "fcntl", (1, 1030, 3), ALLOWED),
    *[(COMPUTES, "fcntl", (1, command, 1), EPERM) for command in (6, 8, 10, 15, 1024, 1026, 1031, 1033)],
    (PROGRAMS, "fcntl", (1, 6, ANY), ALLOWED),
    (PROGRAMS, "fcntl", (1, 8, 1), EPERM),
    # modes, owners, times, attributes of files
    *[
        (profile, call, (-100, ANY, 0o666, 0), NOTHING if profile is PROGRAMS else EPERM)
        for call in ("fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "utimensat")
        for profile in PROFILES.values()
    ],
    *[
        (profile, call, (ANY, ANY, ANY, 1, 0), UNSUPPORTED)
        for call in (
            "setxattr",
            "lsetxattr",
            "fsetxattr",
            "removexattr",
            "setxattrat",
            "getxattr",
            "file_setattr",
        )
        for profile in PROFILES.values()
    ],
    # network
    *[
        (COMPUTES, call, (2, 1, 0), EPERM)
        for call in ("socket", "socketpair", "connect", "bind", "sendto", "sendmsg")
    ],
    *[
        (CLIENT, "socket", (family, 0o2000001, protocol), ALLOWED)
        for family in (2, 10)
        for protocol in (0, 6)
    ],
    *[
        (CLIENT, "socket", arguments, EPERM)
        for arguments in ((1, 1, 0), (2, 2, 0), (2, 3, 6), (16, 3, 0), (40, 1, 0))
    ],
    *[(CLIENT, "socket", (2, 1, protocol), EPERM) for protocol in (132, 262, 256)],
    (CLIENT, "connect", (3, ANY, 16), ALLOWED),
    *[(CLIENT, call, (3, ANY, 16), EPERM) for call in ("bind", "listen", "accept", "accept4", "sendmmsg")],
    (CLIENT, "sendto", (3, ANY, 1, 0x4000, 0, 0), ALLOWED),
    (CLIENT, "sendto", (3, ANY, 1, 0x20000000, 0, 0), EPERM),
    (CLIENT, "sendto", (3, ANY, 1, 0, ANY, 16), EPERM),
    (CLIENT, "sendmsg", (3, ANY, 0x20004000), EPERM),
    (CLIENT, "setsockopt", (3, 6, 1, ANY, 4), ALLOWED),
    (CLIENT, "setsockopt", (3, 263, 1, ANY, 4), EPERM),
    (CLIENT, "socketpair", (1, 1, 0, ANY), ALLOWED),
    (CLIENT, "socketpair", (1, 2, 0, ANY), EPERM),
    (PROGRAMS, "socket", (2, 1, 0), EPERM),
    (PROGRAMS, "socketpair", (1, 0o2004001, 0, ANY), ALLOWED),
    # the kernel, other processes' memory, namespaces, mounts, ways around a filter
    *[
        (profile, call, (ANY, ANY, ANY), KILLED)
        for call in system_calls.DANGEROUS
        for profile in PROFILES.values()
    ],
    *[
        (COMPUTES, call, (1, 0, ANY), EPERM)
        for call in ("seccomp", "landlock_restrict_self", "landlock_create_ruleset")
    ],
]


def _result(machine: str, profile: Profile, call: str, arguments: tuple[int, ...]) -> int | None:
    architecture = ARCHITECTURES[machine]
    number = numbers(architecture).get(call)
    if number is None:
        return None  # an old call that this architecture never had
    return run(PROGRAM[machine, id(profile)], architecture.audit, number, arguments)


PROGRAM = {
    (machine, id(profile)): program(architecture, profile, PID)
    for machine, architecture in ARCHITECTURES.items()
    for profile in PROFILES.values()
}


@both
def test_each_call_is_decided_as_the_table_says(machine: str) -> None:
    wrong = [
        (call, arguments, hex(found), hex(expected))
        for profile, call, arguments, expected in TABLE
        if (found := _result(machine, profile, call, arguments)) is not None and found != expected
    ]
    assert not wrong


@both
def test_old_calls_are_decided_as_their_successors(machine: str) -> None:
    for call, arguments, expected in (
        ("open", (ANY, 0), ALLOWED),
        ("open", (ANY, 0o1000), EPERM),
        ("open", (ANY, 0o101, 0o4755), EPERM),
        ("creat", (ANY, 0o600), ALLOWED),
        ("creat", (ANY, 0o4755), EPERM),
        *((call, (ANY, ANY), EPERM) for call in ("chmod", "chown", "lchown", "utime", "utimes", "futimesat")),
        *((call, (ANY, ANY), EPERM) for call in ("fork", "vfork", "symlink", "link", "mknod")),
        *((call, (ANY, ANY), KILLED) for call in ("iopl", "ioperm", "modify_ldt", "uselib")),
    ):
        assert _result(machine, COMPUTES, call, arguments) in (None, expected), call


@both
def test_another_architecture_or_calling_convention_ends_the_process(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    steps = PROGRAM[machine, id(COMPUTES)]
    read = numbers(architecture)["read"]
    for audit in (
        0x40000003,
        0x40000028,
        *({one.audit for one in ARCHITECTURES.values()} - {architecture.audit}),
    ):
        assert run(steps, audit, read) == KILLED
    x32 = run(steps, architecture.audit, 0x40000000 | read)
    assert x32 == (KILLED if machine == "x86_64" else ENOSYS)


@both
def test_numbers_that_the_list_does_not_know_are_not_there(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    known = set(numbers(architecture).values())
    for number in {*range(2000), 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF} - known:
        expected = KILLED if architecture.other_abi and number >= architecture.other_abi else ENOSYS
        assert run(PROGRAM[machine, id(PROGRAMS)], architecture.audit, number) == expected


@both
@pytest.mark.parametrize("name", PROFILES)
def test_the_program_decides_as_its_list_for_any_call(machine: str, name: str) -> None:
    """Compares the binary search and the word by word comparisons with a plain reading of the decisions."""
    architecture, profile = ARCHITECTURES[machine], PROFILES[name]
    wanted = system_calls.decisions(architecture, profile, PID)
    steps = PROGRAM[machine, id(profile)]
    assert len(steps) <= 4096
    generator = random.Random(22)
    for number, decision in wanted.items():
        values = {check.value for checks in decision.alternatives for check in checks}
        for _ in range(10 if decision.alternatives else 1):
            arguments = [_argument(generator, sorted(values)) for _ in range(6)]
            assert run(steps, architecture.audit, number, arguments) == _plain(decision, arguments)


def _argument(generator: random.Random, values: list[int]) -> int:
    kind = generator.randrange(4)
    value = generator.choice(values) if values and kind else generator.getrandbits(64)
    return value ^ (1 << generator.randrange(64)) if kind == 3 else value


def _plain(decision: bpf.Decision, arguments: list[int]) -> int:
    for checks in decision.alternatives:
        if all(arguments[check.argument] & check.mask == check.value for check in checks):
            return bpf.ALLOW
    return decision.otherwise


@both
def test_every_jump_stays_within_the_program(machine: str) -> None:
    for profile in PROFILES.values():
        steps = PROGRAM[machine, id(profile)]
        for at, (code, then, otherwise, value) in enumerate(steps):
            jumps = [value] if code == bpf.JUMP else [then, otherwise]
            assert all(0 <= jump <= 255 for jump in (then, otherwise))
            assert code == bpf.RETURN or all(at + 1 + jump < len(steps) for jump in jumps)


def test_every_name_of_the_list_is_a_system_call() -> None:
    known = set(numbers(ARCHITECTURES["x86_64"])) | set(numbers(ARCHITECTURES["aarch64"]))
    lists = {name: value for name, value in vars(system_calls).items() if isinstance(value, list)}
    assert len(lists) > 10
    named = {call for calls in lists.values() for call in calls}
    assert named <= known


def test_no_call_is_in_two_lists() -> None:
    lists = [value for value in vars(system_calls).values() if isinstance(value, list)]
    calls = [call for one in lists for call in one]
    assert sorted(set(calls)) == sorted(calls)


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed")
    listed = {
        name: int(number)
        for name, number in re.findall(r"define __NR(?:3264)?_(\w+)\s+(\d+)$", Path(header).read_text(), re.M)
    }
    known = numbers(ARCHITECTURES[machine])
    assert len(set(known) & set(listed)) > 280
    assert {name for name in set(known) & set(listed) if known[name] != listed[name]} == set()

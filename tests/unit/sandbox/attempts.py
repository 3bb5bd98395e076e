"""
Attempts from inside of a sandbox, each in a fork of its own; run as a program that imports nothing heavy.

What would harm the machine if a sandbox failed has arguments that do nothing: a filter decides before.

``python attempts.py <request as JSON>`` prints JSON: attempt → its result, or its error, or the signal.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from feature_ops.sandbox.capabilities import current_capabilities
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.libc import load_libc, prctl
from feature_ops.sandbox.numbers import ARCHITECTURES, numbers
from feature_ops.sandbox.profile import PYTHON_FILES, Limits, Profile

NUMBERS = numbers(ARCHITECTURES[platform.machine()])
MEMORY = 1 << 29
LIMITS = Limits(memory=MEMORY, file=1 << 20, seconds=20, threads=40)


def call(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call by name; raises OSError."""
    filled = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = load_libc().syscall(ctypes.c_long(NUMBERS[name]), *filled)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


class Attempts:
    """What code may try against a file and a process outside."""

    def __init__(self, victim: str, process: int, scratch: str, readable: str) -> None:
        self.victim, self.process, self.scratch, self.readable = victim, process, scratch, readable

    def all(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield every attempt by its name."""
        for part in (self.files, self.memory, self.others, self.privileges, self.work):
            yield from part().items()

    def files(self) -> dict[str, Callable[[], Any]]:
        """Modes, owners, times, attributes, contents and secrets of files."""
        victim, raw = self.victim, self.victim.encode()
        return {
            "chmod": lambda: os.chmod(victim, 0o666),
            "fchmod": lambda: os.fchmod(os.open(self.readable, os.O_RDONLY), 0o666),
            "fchmodat2": lambda: call("fchmodat2", -100, raw, 0o666, 0),
            "chown": lambda: os.chown(victim, 1, 1),
            "lchown": lambda: os.lchown(victim, 1, 1),
            "utime": lambda: os.utime(victim, (1, 1)),
            "setxattr": lambda: os.setxattr(victim, "user.owned", b"1"),
            "removexattr": lambda: os.removexattr(victim, "user.mark"),
            "getxattr": lambda: os.getxattr(victim, "user.mark"),
            "chattr": lambda: call("ioctl", os.open(self.readable, os.O_RDONLY), 0x40086602, raw),
            "truncate": lambda: os.truncate(victim, 0),
            "truncate by reading": lambda: os.open(self.readable, os.O_RDONLY | os.O_TRUNC),
            "open for writing": lambda: os.open(self.readable, os.O_WRONLY),
            "append": lambda: os.open(self.readable, os.O_WRONLY | os.O_APPEND),
            "delete": lambda: os.unlink(victim),
            "rename": lambda: os.rename(victim, self.scratch + "/taken"),
            "link": lambda: os.link(victim, self.scratch + "/taken"),
            "symlink": lambda: os.symlink("/etc/passwd", self.scratch + "/taken"),
            "named pipe": lambda: os.mkfifo(self.scratch + "/pipe"),
            "device": lambda: os.mknod(self.scratch + "/device", 0o020600, os.makedev(1, 1)),
            "set-id file": lambda: os.open(self.scratch + "/set_id", os.O_CREAT | os.O_WRONLY, 0o4755),
            "lock": lambda: call("flock", os.open(self.readable, os.O_RDONLY), 2),
            "handle": lambda: call("open_by_handle_at", -100, raw, 0),
            "read": lambda: Path(victim).read_text(),
            "read through own root": lambda: Path(f"/proc/self/root{victim}").read_text(),
            **{
                f"read {path}": lambda path=path: os.open(path, os.O_RDONLY)
                for path in (
                    *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/ssl/private", "/root", "/home"),
                    *("/proc/self/environ", "/proc/self/mem", "/proc/self/net/tcp", "/proc/self/mountinfo"),
                    *(
                        "/proc/1/environ",
                        "/proc/1/cmdline",
                        "/proc/version",
                        "/proc/modules",
                        "/dev/shm",
                        "/tmp",
                    ),
                    *(f"/proc/{self.process}/environ", f"/proc/{self.process}/maps", "/sys/kernel/notes"),
                )
            },
        }

    def memory(self) -> dict[str, Callable[[], Any]]:
        """Memory that the limit does not count, or that stays behind."""
        return {
            "shared memory": lambda: mmap.mmap(-1, 3 << 30),
            "shared memory of a file": self._shared_file,
            "memfd": lambda: os.memfd_create("hidden"),
            "memfd_secret": lambda: call("memfd_secret", 0),
            "shmget": lambda: call("shmget", 4242, 1 << 20, 0o1600),
            "semget": lambda: call("semget", 4242, 1, 0o1600),
            "msgget": lambda: call("msgget", 4242, 0o1600),
            "mq_open": lambda: call("mq_open", b"queue", 0o102, 0o600, 0),
            "shm_open": lambda: os.open("/dev/shm/left", os.O_CREAT | os.O_RDWR),
            "growing stack": lambda: call("mmap", 0, 1 << 20, 3, 0x122, -1, 0),
            "huge pages": lambda: call("mmap", 0, 1 << 21, 3, 0x40022, -1, 0),
            "locked memory": lambda: call("mlockall", 1),
            "private memory": lambda: len(bytearray(2 << 30)),
            "address space": lambda: mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
            "memory made read-only": self._hidden_memory,
            "zeros": lambda: os.open("/dev/zero", os.O_RDONLY),
            "4,000 threads": self._threads,
            "open files": lambda: [os.dup(0) for _ in range(1000)],
            "large file": lambda: Path(self.scratch, f"large{os.geteuid()}").write_bytes(bytes(2 << 20)),
        }

    def others(self) -> dict[str, Callable[[], Any]]:
        """Other processes, and the own ties to the parent."""
        process = self.process
        return {
            "fork": os.fork,
            "vfork": lambda: os.posix_spawn("/bin/true", ["true"], {}),
            "clone a process": lambda: call("clone", 17, 0, 0, 0, 0),
            "clone a namespace": lambda: call("clone", 0x10000011, 0, 0, 0, 0),
            "clone3": lambda: call("clone3", None, 0),
            "exec": lambda: os.execv("/bin/true", ["true"]),
            "signal": lambda: os.kill(process, signal.SIGTERM),
            "signal 0": lambda: os.kill(process, 0),
            "signal all": lambda: os.kill(-1, 0),
            "signal the group": lambda: os.kill(0, 0),
            "tgkill": lambda: call("tgkill", process, process, signal.SIGTERM),
            "tkill": lambda: call("tkill", process, signal.SIGTERM),
            "sigqueue": lambda: call("rt_sigqueueinfo", process, signal.SIGTERM, bytes(128)),
            "pidfd": lambda: os.pidfd_open(process),
            "nice": lambda: os.setpriority(os.PRIO_PROCESS, process, 19),
            "own nice": lambda: os.nice(1),
            "affinity": lambda: os.sched_setaffinity(process, {0}),
            "scheduler": lambda: os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0)),
            "io priority": lambda: call("ioprio_set", 1, process, 3 << 13),
            "limits of another": lambda: resource.prlimit(process, resource.RLIMIT_NOFILE, (8, 8)),
            "ptrace": lambda: call("ptrace", 16, process, 0, 0),
            "read memory": lambda: call("process_vm_readv", process, 0, 0, 0, 0, 0),
            "write memory": lambda: call("process_vm_writev", process, 0, 0, 0, 0, 0),
            "compare": lambda: call("kcmp", process, process, 0, 0, 0),
            "move pages": lambda: call("move_pages", process, 0, 0, 0, 0, 0),
            "session": os.setsid,
            "process group": lambda: os.setpgid(0, 0),
            "survive the parent": lambda: _prctl(1, 0),
            "adopt": lambda: _prctl(36, 1),
            "dumpable": lambda: _prctl(4, 0),
            "unix socket": lambda: call("socket", 1, 1, 0),
            "inet socket": lambda: call("socket", 2, 1, 0),
            "netlink socket": lambda: call("socket", 16, 3, 0),
            "packet socket": lambda: call("socket", 17, 3, 0),
            "socket pair": lambda: call("socketpair", 1, 2, 0, bytes(8)),
            "watch files": lambda: call("inotify_init1", 0),
            "flush all disks": lambda: call("sync"),
        }

    def privileges(self) -> dict[str, Callable[[], Any]]:
        """The kernel, namespaces, mounts, identities, capabilities."""
        return {
            "capabilities": current_capabilities,
            "bounding capabilities": lambda: sum(max(prctl(23, number), 0) for number in range(64)),
            "ambient capabilities": lambda: _status("CapAmb"),
            "no new privileges": lambda: prctl(39),
            "gain capabilities": lambda: call("capset", bytes(8), bytes(24)),
            "setuid": lambda: call("setuid", 1),
            "setresuid": lambda: call("setresuid", 0, 0, 0),
            "setgroups": lambda: call("setgroups", 0, 0),
            "personality": lambda: call("personality", 0x0040000),
            "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
            "second filter": lambda: call("seccomp", 1, 0, 0),
            "second filter by prctl": lambda: _prctl(22, 2),
            "landlock": lambda: call("landlock_create_ruleset", 0, 0, 1),
            "host name": lambda: call("sethostname", b"owned", -1),
            "set the clock": lambda: call("clock_settime", -1, 0),
            "unshare": lambda: call("unshare", 0x10000000),
            "setns": lambda: call("setns", 0, 0),
            "mount": lambda: call("mount", b"/none", b"/none", None, 4096, None),
            "new mount": lambda: call("fsopen", b"tmpfs", 0),
            "unmount": lambda: call("umount2", b"/none", 2),
            "chroot": lambda: os.chroot("/"),
            "pivot_root": lambda: call("pivot_root", b"/none", b"/none"),
            "bpf": lambda: call("bpf", 0, bytes(64), 64),
            "io_uring": lambda: call("io_uring_setup", 1, bytes(120)),
            "userfaultfd": lambda: call("userfaultfd", 1),
            "perf": lambda: call("perf_event_open", bytes(128), 0, -1, -1, 0),
            "keys": lambda: call("keyctl", 0, -3, 0),
            "add a key": lambda: call("add_key", b"user", b"x", b"x", 1, -3),
            "module": lambda: call("init_module", 0, 0, b""),
            "kexec": lambda: call("kexec_load", 0, 0, 0, 0),
            "reboot": lambda: call("reboot", 0, 0, 0, 0),
            "swap": lambda: call("swapoff", b"/none"),
            "kernel log": lambda: call("syslog", 3, bytes(16), 16),
            "unknown call": lambda: call_number(1999),
            "future call": lambda: call_number(470),
        }

    def work(self) -> dict[str, Callable[[], Any]]:
        """What must work: files of its own, threads, libraries, clocks, limits, its own signals."""
        return {
            "write": self._write,
            "read what is readable": lambda: len(Path(self.readable).read_text()),
            "thread": _one_thread,
            "sysconf": lambda: [os.sysconf("SC_NPROCESSORS_ONLN") > 0, os.sysconf("SC_PAGE_SIZE") > 0],
            "load a library": _load_library,
            "private map": lambda: len(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)),
            "read-only map": self._read_only_map,
            "own signal": lambda: os.kill(os.getpid(), 0),
            "abort": os.abort,
            "random": lambda: len(os.urandom(8)),
            "clock": lambda: time.time() > 0,
            "sleep": lambda: time.sleep(0),
            "own limits": lambda: resource.getrlimit(resource.RLIMIT_CORE),
            "lower a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
            "affinity is read": lambda: len(os.sched_getaffinity(0)) > 0,
            "pipe": lambda: [os.close(end) for end in os.pipe()],
            "null device": lambda: Path(os.devnull).write_text("x"),
            "name a thread": lambda: prctl(15, ctypes.addressof(ctypes.create_string_buffer(b"me"))),
        }

    def _shared_file(self) -> None:
        path = os.open(self.scratch + "/shared", os.O_CREAT | os.O_RDWR)
        os.ftruncate(path, 4096)
        mmap.mmap(path, 4096)

    def _hidden_memory(self) -> str:
        """Private memory that is made read-only no longer counts as data."""
        size, found = 64 << 20, 0
        with suppress(OSError):
            while True:
                at = call("mmap", 0, size, 3, 0x22, -1, 0)
                call("mprotect", at, size, 1)
                found += size
        return "limited" if found <= 2 * MEMORY + 2 * size else f"{found >> 20} MiB"

    def _threads(self) -> str:
        # Small stacks: no limit of memory is in the way.
        threading.stack_size(64 << 10)
        started = 0
        with suppress(RuntimeError):
            while started < 4000:
                threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
                started += 1
        return "limited" if 20 <= started < 40 else f"{started} threads"

    def _write(self) -> list[str]:
        folder = Path(self.scratch, "made")
        folder.mkdir()
        (folder / "file").write_text("text")
        (folder / "file").rename(folder / "renamed")
        (folder / "renamed").unlink()
        folder.rmdir()
        return [path.name for path in Path(self.scratch).iterdir() if path.name == "made"]

    def _read_only_map(self) -> int:
        with open(self.readable, "rb") as file:
            return len(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def call_number(number: int) -> int:
    """Make a system call by number; raises OSError."""
    result: int = load_libc().syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0)
    if result == -1:
        raise OSError(ctypes.get_errno(), "call")
    return result


def _prctl(option: int, value: int) -> None:
    if prctl(option, value) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(f"{field}:"))


def _one_thread() -> str:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append("ran"))
    thread.start()
    thread.join()
    return done[0]


def _load_library() -> str:
    import _decimal

    return _decimal.__name__


def outcome(attempt: Callable[[], Any]) -> Any:
    """Return what an attempt returns, or the name of its error."""
    try:
        return attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return type(error).__name__


def try_in_sandbox(profile: Profile, attempt: Callable[[], Any], missing: set[str]) -> Any:
    """Return an attempt's outcome in a fork that enters the sandbox before; adds the features that lack."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.closerange(writing + 1, 4096)
        try:
            answer = {"missing": confine(profile), "found": outcome(attempt)}
            os.write(writing, json.dumps(answer, default=repr).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    answer = json.loads(text)
    missing.update(answer["missing"])
    return answer["found"]


def main() -> None:
    request = json.loads(sys.argv[1])
    if request.pop("user", None):
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        prctl(4, 1)
    attempts = Attempts(**request)
    readable = (*PYTHON_FILES, Path(sys.base_prefix), Path(request["readable"]))
    profile = Profile(readable=readable, writable=(Path(request["scratch"]),), limits=LIMITS)
    missing: set[str] = set()
    found = {name: try_in_sandbox(profile, attempt, missing) for name, attempt in attempts.all()}
    print(json.dumps({"missing": sorted(missing), "found": found}))


if __name__ == "__main__":
    main()

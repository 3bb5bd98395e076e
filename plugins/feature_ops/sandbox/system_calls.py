"""
The system calls that a sandboxed process may use, and why.

Everything else fails: with ENOSYS what the C library then does by other means and what this list does not
know, with EPERM what libraries try and go on without, and the rest ends the process. Arguments are numbered
from 0; a filter sees numbers, never what a pointer points to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from feature_ops.sandbox.bpf import Check, Decision, allow, either, errno_of, kill, only_if
from feature_ops.sandbox.numbers import Architecture, numbers
from feature_ops.sandbox.profile import Profile


def _calls(names: str) -> list[str]:
    return names.split()


#: Open files: Landlock checked the path when the file was opened.
FILES = _calls("""
read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 lseek close close_range fstat
fsync fdatasync ftruncate dup dup2 dup3 pipe pipe2 fadvise64 readahead getdents getdents64
""")
#: Paths: reading names and sizes; creating and deleting, which Landlock allows in writable folders only.
PATHS = _calls("""
stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd chdir fchdir statfs
fstatfs rmdir unlink unlinkat rename renameat renameat2 umask
""")
#: Private memory; ``mmap`` has conditions.
MEMORY = _calls("brk munmap mprotect mremap madvise msync")
#: Threads of the own process; ``clone`` has conditions.
THREADS = _calls("""
futex futex_wait futex_wake futex_requeue futex_waitv set_robust_list set_tid_address rseq sched_yield
gettid exit exit_group restart_syscall
""")
#: Handlers and timers of the own process; ``kill`` and ``tgkill`` have conditions.
SIGNALS = _calls("""
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause
alarm setitimer getitimer
""")
#: Waiting for files, timers, signals and own children.
WAITING = _calls("""
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4 nanosleep
clock_nanosleep wait4 waitid
""")
#: Reading about the own process, the machine and the time.
READING = _calls("""
getpid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgid getpgrp getsid capget
uname sysinfo times getrusage getcpu getpriority sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min getrlimit getrandom clock_gettime clock_getres gettimeofday
time
""")
#: The own process's settings: limits (a hard limit can't be raised), registers. The kernel itself inserts the
#: last two where an administrator traces programs.
OWN = _calls("setrlimit arch_prctl uretprobe uprobe")

#: Programs that start others need these in addition; links work within writable folders only.
PROCESSES = _calls("fork vfork execve setsid setpgid link linkat symlink symlinkat flock")
#: Clients of TCP need these in addition; ``socket``, ``sendto`` and others have conditions.
NETWORK = _calls("connect recvfrom recvmsg getsockname getpeername getsockopt shutdown")

#: Change modes, owners, times of files.
ATTRIBUTES = _calls("""
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
""")
#: The C library and Python do the same by other means, or go on without.
OTHER_MEANS = _calls("""
clone3 openat2 membarrier sendfile copy_file_range splice tee inotify_init inotify_init1 pidfd_open mbind
get_mempolicy set_mempolicy set_mempolicy_home_node pkey_alloc pkey_free pkey_mprotect mseal mincore
cachestat io_setup statmount listmount lsm_get_self_attr lsm_list_modules map_shadow_stack
""")
#: No library tries these: the kernel, other processes' memory, namespaces, mounts, ways around a filter.
DANGEROUS = _calls("""
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
pidfd_send_signal bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl
add_key request_key open_by_handle_at mount umount2 pivot_root chroot move_mount open_tree open_tree_attr
fsopen fsconfig fsmount fspick mount_setattr swapon swapoff unshare setns init_module finit_module
delete_module create_module kexec_load kexec_file_load reboot acct quotactl quotactl_fd settimeofday
clock_settime clock_adjtime adjtimex iopl ioperm modify_ldt uselib _sysctl vhangup syslog
sethostname setdomainname move_pages migrate_pages lookup_dcookie
""")

_EPERM, _ENOSYS, _EOPNOTSUPP = errno_of(1), errno_of(38), errno_of(95)
#: Programs that copy files go on where a file system has no extended attributes.
_EXTENDED_ATTRIBUTES = _calls("""
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr
lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat file_getattr file_setattr
""")

_INT, _LONG = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
# open: how a file is opened, and that it is truncated; which modes a new file may not have.
_ACCESS, _TRUNCATE, _SET_ID = 0o3, 0o1000, 0o6000
# mmap: the types, and what no mapping may have: mappings that grow down, huge and locked ones evade limits.
_TYPE, _SHARED, _PRIVATE, _ANONYMOUS = 0x0F, 0x01, 0x02, 0x20
_GROWS_DOWN, _LOCKED, _HUGE = 0x0100, 0x2000, 0x40000
_PROT_WRITE = 0x2
# clone: what pthread_create passes (musl adds CLONE_DETACHED, which means nothing any more).
_THREAD, _DETACHED = 0x003D0F00, 0x00400000
# clone: namespaces, tracing, and a child that is the parent's instead of the caller's.
_NO_CHILD = 0x7E020000 | 0x00800000 | 0x00002000 | 0x00008000
# prctl: names of threads and of memory (PR_SET_VMA), and reading. Not the signal at the parent's end.
_PRCTL = (3, 15, 16, 21, 23, 27, 39, 0x53564D41)
# ioctl: close-on-exec, what can be read without waiting, not waiting, whether it is a terminal, its size.
_IOCTL = (0x5450, 0x5451, 0x541B, 0x5421, 0x5401, 0x5413)
# fcntl: duplicates, flags, size of a pipe. Not owners of signals, leases, seals and notifications.
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)
# fcntl: locks. Programs that only compute need none, and a lock on a file that is read blocks others.
_LOCKS = (5, 6, 7, 36, 37, 38)
_UNIX, _INET, _INET6, _STREAM, _TCP = 1, 2, 10, 1, 6
# socket: the type without SOCK_CLOEXEC and SOCK_NONBLOCK.
_SOCKET_TYPE = ~(0o2000000 | 0o4000) & _INT
_FAST_OPEN = 0x20000000
# setsockopt: sockets, IP, TCP, IPv6.
_LEVELS = (1, 0, 6, 41)


def decisions(architecture: Architecture, profile: Profile, pid: int) -> dict[int, Decision]:
    """
    Return what happens to each known system call of an architecture, by number.

    :param pid: the process, which may signal itself.
    """
    known = numbers(architecture)
    rules = dict.fromkeys(known, _EPERM)
    rules.update(dict.fromkeys([*OTHER_MEANS], _ENOSYS))
    rules.update(dict.fromkeys(DANGEROUS, kill()))
    rules.update(dict.fromkeys(_EXTENDED_ATTRIBUTES, _EOPNOTSUPP))
    rules.update(dict.fromkeys(ATTRIBUTES, _EPERM if profile.attributes == "refuse" else errno_of(0)))
    for name in (*FILES, *PATHS, *MEMORY, *THREADS, *SIGNALS, *WAITING, *READING, *OWN):
        rules[name] = allow()
    rules.update(_opening())
    rules.update(_mapping(profile))
    rules.update(_own_process(profile, pid))
    rules.update(_descriptors(profile))
    if profile.processes:
        rules.update(_processes())
    if profile.ports:
        rules.update(_network())
    return {known[name]: rule for name, rule in rules.items() if name in known}


def _opening() -> Mapping[str, Decision]:
    """Opening and creating: no truncation without writing, which old Landlock allows, and no set-id modes."""

    def opens(flags: int, mode: int) -> Decision:
        no_set_id = Check(mode, _SET_ID, 0)
        reading = Check(flags, _ACCESS | _TRUNCATE, 0)
        return either(
            [reading, no_set_id],
            *([Check(flags, _ACCESS, access), no_set_id] for access in (1, 2)),
        )

    creating = (("creat", 1), ("mkdir", 1), ("mkdirat", 2))
    return {
        "open": opens(1, 2),
        "openat": opens(2, 3),
        **{name: only_if(Check(mode, _SET_ID, 0)) for name, mode in creating},
    }


def _mapping(profile: Profile) -> Mapping[str, Decision]:
    """Mapping memory: private, or shared with a file that is only read."""
    odd = _GROWS_DOWN | _LOCKED | _HUGE | (_LONG ^ _INT)
    private = [Check(3, _TYPE | odd, _PRIVATE)]
    if profile.shared_memory:
        return {"mmap": either(private, [Check(3, _TYPE | odd, _SHARED)])}
    read = [Check(3, _TYPE | _ANONYMOUS | odd, _SHARED), Check(2, _PROT_WRITE, 0)]
    return {"mmap": either(private, read)}


def _own_process(profile: Profile, pid: int) -> Mapping[str, Decision]:
    itself = only_if(Check(0, _INT, pid))
    return {
        # Threads are like the process; a process is not.
        "clone": only_if(Check(0, _LONG & ~_DETACHED, _THREAD)),
        "kill": itself,
        "tgkill": itself,
        "prlimit64": either([Check(0, _INT, 0)], [Check(0, _INT, pid)]),
        "prctl": either(*([Check(0, _INT, option)] for option in _PRCTL)),
    }


def _descriptors(profile: Profile) -> Mapping[str, Decision]:
    commands = (*_FCNTL, *_LOCKS) if profile.processes else _FCNTL
    return {
        "ioctl": either(*([Check(1, _INT, request)] for request in _IOCTL)),
        "fcntl": either(*([Check(1, _INT, command)] for command in commands)),
    }


def _processes() -> Mapping[str, Decision]:
    return {
        **dict.fromkeys(PROCESSES, allow()),
        "clone": only_if(Check(0, _NO_CHILD, 0)),
        # Landlock or the process namespace keep signals within the sandbox.
        "kill": allow(),
        "tgkill": allow(),
        "sched_setaffinity": only_if(Check(0, _INT, 0)),
        "prlimit64": only_if(Check(0, _INT, 0)),
        "socketpair": only_if(Check(0, _INT, _UNIX), Check(1, _SOCKET_TYPE, _STREAM)),
        **_messages(),
    }


def _network() -> Mapping[str, Decision]:
    """TCP connections; Landlock allows the ports. Other protocols would go past it."""
    return {
        **dict.fromkeys(NETWORK, allow()),
        **_messages(),
        "socket": either(*_tcp()),
        "socketpair": only_if(Check(0, _INT, _UNIX), Check(1, _SOCKET_TYPE, _STREAM)),
        "setsockopt": either(*([Check(1, _INT, level)] for level in _LEVELS)),
    }


def _tcp() -> Iterator[list[Check]]:
    for family in (_INET, _INET6):
        for protocol in (0, _TCP):
            yield [
                Check(0, _INT, family),
                Check(1, _SOCKET_TYPE, _STREAM),
                Check(2, _INT, protocol),
            ]


def _messages() -> Mapping[str, Decision]:
    """Messages go to the connected peer: no address, and no connection that sending opens."""
    return {
        "sendto": only_if(Check(3, _FAST_OPEN, 0), Check(4, _LONG, 0)),
        "sendmsg": only_if(Check(2, _FAST_OPEN, 0)),
        "recvfrom": allow(),
        "recvmsg": allow(),
        "shutdown": allow(),
    }

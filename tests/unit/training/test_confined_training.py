"""A training that attacks: what it may not reach is refused by the kernel, and what it needs works."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_ops.exceptions import FeatureOpsError
from feature_ops.sandbox import landlock
from feature_ops.sandbox.features import SandboxError
from feature_ops.training import process
from feature_ops.training.process import run_in_process

pytestmark = pytest.mark.skipif(
    landlock.version() < landlock.SIGNALS, reason="the machine's Linux has no Landlock ABI 6"
)

# Each is an expression; `p` are paths, ports and process ids of the test.
ATTACKS = {
    "read the stack's passwords": "open(p['passwords']).read()",
    "read a private key in a home folder": "open(p['key']).read()",
    "list another task's folder": "os.listdir(p['other task'])",
    "read another task's file": "open(p['other task'] + '/rows').read()",
    "read a file through a link that it makes": "os.symlink(p['key'], here('s')) or open(here('s')).read()",
    "take a file into its folder by a hard link": "os.link(p['passwords'], here('l'))",
    "take a file into its folder by renaming": "os.rename(p['other task'] + '/rows', here('r'))",
    "list users": "open('/etc/passwd').read()",
    "read password hashes": "open('/etc/shadow').read()",
    "read private keys of TLS": "os.listdir('/etc/ssl/private')",
    "list the home folder of root": "os.listdir('/root')",
    "list the temporary folder of all": "os.listdir('/tmp')",
    "read the worker's environment": "open(f\"/proc/{p['worker']}/environ\").read()",
    "read the worker's command line": "open(f\"/proc/{p['worker']}/cmdline\").read()",
    "read the memory of its guard": "open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "read the environment of its guard": "open(f'/proc/{os.getppid()}/environ').read()",
    "list all processes": "open(f'/proc/1/root/etc/passwd').read()",
    "write to its own code": "open(p['code'] + '/attack.py', 'a')",
    "add a module to its code": "open(p['code'] + '/sitecustomize.py', 'w')",
    "write to the Python environment": "open(p['packages'] + '/attack.pth', 'w')",
    "write to the temporary folder of all": "open('/tmp/left-by-a-training', 'w')",
    "empty a file": "os.truncate(p['passwords'], 0)",
    "delete a file": "os.unlink(p['other task'] + '/rows')",
    "make a device": "os.mknod(here('d'), 0o600 | stat.S_IFCHR, os.makedev(1, 1))",
    "change a kernel setting": "open('/proc/sys/kernel/hostname', 'w')",
    "move itself to another control group": "open('/sys/fs/cgroup/cgroup.procs', 'w')",
    "connect to a port of the worker": "connect(p['closed port'])",
    "connect to it by IPv6": "connect(p['closed port'], '::1')",
    "connect to it by TCP Fast Open": "tcp().sendto(b'x', 0x20000000, ('127.0.0.1', p['closed port']))",
    "connect to it by multipath TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
    "send a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "use a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "read the network's configuration": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "connect to a local socket such as Docker's": "socket.socket(socket.AF_UNIX)",
    "offer a server": "tcp().bind(('127.0.0.1', 0))",
    "offer a server without an address": "tcp().listen()",
    "signal the worker": "os.kill(p['worker'], 0)",
    "signal the first process it sees": "os.kill(1, 0)",
    "signal everything": "os.kill(-1, 0)",
    "end its guard": "os.kill(os.getppid(), signal.SIGKILL)",
    "change the worker's priority": "os.setpriority(os.PRIO_PROCESS, p['worker'], 19)",
    "change the worker's processors": "os.sched_setaffinity(p['worker'], {0})",
    "change the worker's limits": "resource.prlimit(p['worker'], resource.RLIMIT_NOFILE, (9, 9))",
    "leave shared memory behind": "call('shmget', 0x4654, 4096, 0o1600)",
    "survive its guard": "call('prctl', 1, 0, 0, 0, 0)",
    "gain another user": "os.setuid(12345)",
}
# What ends the process that tries.
DEADLY = {
    "trace another process": "call('ptrace', 16, p['worker'], 0, 0)",
    "read another process's memory": "call('process_vm_readv', p['worker'], None, 0, None, 0, 0)",
    "make namespaces": "call('unshare', 0x10000000)",
    "mount a file system": "call('mount', b'none', b'/mnt', b'tmpfs', 0, None)",
    "change its root": "os.chroot('/')",
    "load a program into the kernel": "libc.syscall(321, 0, None, 0)",
    "use the kernel's keys": "libc.syscall(250, 0, 0, 0)",
    "call the kernel through a ring": "libc.syscall(425, 1, None)",
}
# What a training may do, with its result.
WORKS = {
    "connect to a store": ("connect(p['open port'])", None),
    "write to its folder": ("len(open(here('result'), 'w').name) > 0", True),
    "make temporary files": ("tempfile.TemporaryFile().write(b'x')", 1),
    "copy a file with its mode": ("shutil.copy(__file__, here('copy.py')) == here('copy.py')", True),
    "start a program": ("subprocess.run(['true']).returncode", 0),
    "resolve its own host": ("socket.gethostbyname('localhost')", "127.0.0.1"),
    "ask for its user": ("getpass.getuser()", "training"),
    "use a pool of forked processes": ("pool('fork')", [0, 1, 4]),
    "use a pool of fresh processes": ("pool('spawn')", [0, 1, 4]),
    "use an executor": ("list(executor())", [0, 1, 4]),
    "share memory with its processes": ("shared()", 7),
    "use joblib": ("joblib.Parallel(n_jobs=2)(joblib.delayed(square)(n) for n in range(3))", [0, 1, 4]),
    "end its own processes": ("end_own()", -9),
    "see only its own processes": ("all(int(n) < 100 for n in os.listdir('/proc') if n.isdigit())", True),
    "see only its own shared memory": ("p['theirs'] in os.listdir('/dev/shm')", False),
    "have no variable but its own": ("sorted(os.environ)", None),
}
TRAINER = """\
import concurrent.futures, ctypes, getpass, json, multiprocessing, os, resource, shutil, signal, socket, stat
import subprocess, sys, tempfile
from multiprocessing import shared_memory

p = json.loads(os.environ["PLACES"])
libc = ctypes.CDLL(None, use_errno=True)

def here(name):
    return os.path.join(os.environ["HOME"], name)

def tcp():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

def connect(port, host="127.0.0.1"):
    socket.create_connection((host, port), timeout=5).close()

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def square(number):
    return number * number

def pool(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        return workers.map(square, range(3))

def executor():
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        yield from workers.map(square, range(3))

def put(name):
    block = shared_memory.SharedMemory(name)
    block.buf[0] = 7
    block.close()

def shared():
    block = shared_memory.SharedMemory(create=True, size=64)
    child = multiprocessing.Process(target=put, args=(block.name,))
    child.start(); child.join()
    found = block.buf[0]
    block.close(); block.unlink()
    return found

def end_own():
    child = subprocess.Popen(["sleep", "60"])
    child.kill()
    return child.wait()

def attempt(text):
    try:
        return {"done": eval(text)}
    except OSError as error:
        return {"refused": error.errno}
    except Exception as error:
        return {"failed": repr(error)}

def apart(text):
    child = os.fork()
    if child == 0:
        os._exit(0 if "done" in attempt(text) else 1)
    status = os.waitpid(child, 0)[1]
    return {"done": True} if status == 0 else {"refused": status}

if __name__ == "__main__":
    import joblib
    found = {}
    for text in p["expressions"]:
        found[text] = attempt(text)
    for text in p["deadly"]:
        found[text] = apart(text)
    # In a process of its own, since it is to be refused even to one that nobody waits for.
    with open(here("found.json"), "w") as file:
        json.dump(found, file, default=str)
"""


@dataclass(frozen=True)
class Attacked:
    """What one training did, and the files that it was after."""

    found: dict[str, dict[str, object]]
    passwords: Path
    other_task: Path


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    folder = tmp_path_factory.mktemp("attacked")
    code, scratch, other = folder / "code", folder / "scratch", folder / "other task"
    for one in (code, scratch, other, folder / ".ssh"):
        one.mkdir()
    (other / "rows").write_text("theirs")
    (folder / "credentials.json").write_text('{"fernet": "key"}')
    (folder / "credentials.json").chmod(0o600)
    (folder / ".ssh" / "id_ed25519").write_text("private")
    (code / "attack.py").write_text(TRAINER)
    texts = [*ATTACKS.values(), *(text for text, _ in WORKS.values())]
    with (
        socket.create_server(("127.0.0.1", 0)) as store,
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as airflow,
        tempfile.NamedTemporaryFile(dir="/dev/shm") as theirs,
    ):
        places = {
            "passwords": str(folder / "credentials.json"),
            "key": str(folder / ".ssh" / "id_ed25519"),
            "other task": str(other),
            "code": str(code),
            "packages": next(path for path in sys.path if path.endswith("site-packages")),
            "worker": os.getpid(),
            "open port": store.getsockname()[1],
            "closed port": airflow.getsockname()[1],
            "theirs": Path(theirs.name).name,
            "expressions": texts,
            "deadly": list(DEADLY.values()),
        }
        run_in_process(
            ["-m", "attack"],
            code,
            {"PLACES": json.dumps(places)},
            [],
            60,
            scratch=scratch,
            ports=[places["open port"]],
        )
    found = json.loads((scratch / "found.json").read_text())
    return Attacked(found, folder / "credentials.json", other)


@pytest.mark.parametrize("attack", [*ATTACKS, *DEADLY])
def test_an_attack_is_refused(attacked: Attacked, attack: str) -> None:
    outcome = attacked.found[{**ATTACKS, **DEADLY}[attack]]
    assert outcome.keys() == {"refused"}, outcome
    if attack in ATTACKS:
        # What belongs to others is not allowed, or in its namespaces it does not exist.
        assert outcome["refused"] in (errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOENT, errno.ESRCH)


@pytest.mark.parametrize("need", WORKS)
def test_what_a_training_needs_works(attacked: Attacked, need: str) -> None:
    text, expected = WORKS[need]
    outcome = attacked.found[text]
    assert outcome.keys() == {"done"}, outcome
    if need != "have no variable but its own":
        assert outcome["done"] == expected
    else:
        own = {"PATH", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
        own |= {
            "PYTHONPATH",
            "PYTHONUSERBASE",
            "PYTHONDONTWRITEBYTECODE",
            "HOME",
            "TMPDIR",
            "USER",
            "LOGNAME",
        }
        # The last three are set by the interpreter and libraries themselves.
        own |= {"RES_OPTIONS", "PLACES", "LC_CTYPE", "KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK"}
        assert set(outcome["done"]) <= own  # type: ignore[call-overload]


def test_nothing_outside_of_its_folder_changed(attacked: Attacked) -> None:
    assert attacked.passwords.read_text() == '{"fernet": "key"}'
    assert (attacked.other_task / "rows").read_text() == "theirs"


@pytest.mark.parametrize(
    "change", ["os.chmod({0!r}, 0o644)", "os.utime({0!r}, (1, 1))", "os.chown({0!r}, 1, 1)"]
)
def test_modes_times_and_owners_of_files_stay(tmp_path: Path, change: str) -> None:
    """Libraries that copy files call these, so that they report success."""
    passwords, code, scratch = tmp_path / "credentials.json", tmp_path / "code", tmp_path / "scratch"
    code.mkdir()
    scratch.mkdir()
    passwords.write_text("secret")
    passwords.chmod(0o600)
    before = passwords.stat()
    (code / "change.py").write_text(f"import os\n{change.format(str(passwords))}\n")
    run_in_process(["-m", "change"], code, {}, [], 60, scratch=scratch)
    after = passwords.stat()
    assert stat.S_IMODE(after.st_mode) == 0o600
    assert (after.st_mtime, after.st_uid, after.st_gid) == (before.st_mtime, before.st_uid, before.st_gid)


def test_without_namespaces_other_processes_stay_hidden_and_threads_take_the_place_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.unit.training.test_process import WITHOUT_NAMESPACES

    guard, code, scratch = tmp_path / "guard.py", tmp_path / "code", tmp_path / "scratch"
    names = {"guard": str(process._GUARD), "package": str(process._PACKAGE)}
    guard.write_text(WITHOUT_NAMESPACES.format(**names))
    monkeypatch.setattr(process, "_GUARD", guard)
    code.mkdir()
    scratch.mkdir()
    (code / "look.py").write_text(
        "import joblib, os, signal\n"
        "def refused(act):\n"
        "    try:\n        act()\n"
        "    except OSError:\n        return True\n"
        f"worker = {os.getpid()}\n"
        "print(refused(lambda: os.listdir('/proc')), refused(lambda: open(f'/proc/{worker}/environ')),\n"
        "      refused(lambda: os.kill(worker, 0)), refused(lambda: os.listdir('/dev/shm')),\n"
        "      joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(n) for n in (-1, 2)))\n"
    )
    caplog.set_level("INFO")
    run_in_process(["-m", "look"], code, {}, [], 60, scratch=scratch)
    assert "train: True True True True [1, 2]" in caplog.messages

    started = scratch / "started"
    (code / "look.py").write_text(f"open({str(started)!r}, 'w')")
    with pytest.raises(SandboxError, match="FEATURE_OPS_SANDBOX_REQUIRED names process_namespace"):
        run_in_process(["-m", "look"], code, {}, [], 60, scratch=scratch, required=["process_namespace"])
    assert not started.exists()


def test_a_program_that_is_not_part_of_the_environment_is_not_started(tmp_path: Path) -> None:
    code, scratch = tmp_path / "code", tmp_path / "scratch"
    code.mkdir()
    scratch.mkdir()
    (code / "drop.py").write_text(
        "import os, subprocess\n"
        "path = os.path.join(os.environ['HOME'], 'program')\n"
        "open(path, 'w').write('#!/bin/sh\\nexit 0\\n')\n"
        "os.chmod(path, 0o755)\n"
        "subprocess.run([path])\n"
    )
    with pytest.raises(FeatureOpsError, match="Permission denied"):
        run_in_process(["-m", "drop"], code, {}, [], 60, scratch=scratch)

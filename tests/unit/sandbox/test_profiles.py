"""What a profile allows, and what happens where a feature of the kernel is missing."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from feature_ops.sandbox import features
from feature_ops.sandbox.features import WITHOUT, Feature, SandboxError, log_missing, require
from feature_ops.settings import Settings
from tests.conftest import PROJECT

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")

_START = """
import errno, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
from feature_ops.sandbox import landlock, seccomp
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.features import SandboxError
from feature_ops.sandbox.profile import NETWORK_FILES, PYTHON_FILES, Limits, Profile
PYTHON = (*PYTHON_FILES, Path(sys.base_prefix), Path(sys.prefix))
def attempt(act):
    try:
        return act()
    except OSError as error:
        return errno.errorcode[error.errno]
"""


def run(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _START + program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PROJECT,
        env={"PYTHONPATH": "plugins", "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@linux
def test_a_client_reaches_its_port_and_no_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (allowed, other)]
        program = """
allowed, other = map(int, sys.argv[1:])
confine(Profile(readable=(*PYTHON, *NETWORK_FILES), ports=(allowed,)))
def connect(port):
    with socket.create_connection(("127.0.0.1", port)) as client:
        return client.send(b"x")
def fast_open(port):
    with socket.socket() as client:
        return client.sendto(b"x", 0x20000000, ("127.0.0.1", port))
def listen():
    with socket.socket() as server:
        server.listen()
print(attempt(lambda: connect(allowed)), attempt(lambda: connect(other)), attempt(lambda: fast_open(other)),
      attempt(listen), attempt(lambda: socket.create_server(("127.0.0.1", 0))),
      attempt(lambda: socket.socket(type=socket.SOCK_DGRAM)), attempt(lambda: socket.socket(socket.AF_UNIX)),
      attempt(lambda: socket.socket(proto=262)))
"""
        assert run(program, *map(str, ports)) == ["1 EACCES EPERM EPERM EPERM EPERM EPERM EPERM"]


@linux
def test_programs_signal_only_their_own(tmp_path: Path) -> None:
    outside = subprocess.Popen(["sleep", "600"])
    program = """
outside, scratch = int(sys.argv[1]), Path(sys.argv[2])
programs = tuple(Path(path) for path in ("/usr", "/lib", "/lib64", "/bin"))
profile = Profile(PYTHON, (scratch,), programs, processes=True, attributes="ignore")
confine(profile)
own = subprocess.Popen(["sleep", "600"])
print(attempt(lambda: own.send_signal(0)), *(attempt(lambda: os.kill(outside, number)) for number in (0, 15)))
own.kill()
print(own.wait(), subprocess.run(["kill", "-9", str(outside)], capture_output=True).returncode)
(scratch / "file").write_text("x")
before = (scratch / "file").stat().st_mode
os.chmod(scratch / "file", 0o4777)
os.utime(scratch / "file", (1, 1))
print((scratch / "file").stat().st_mode == before)
print(attempt(lambda: Path(f"/proc/{outside}/environ").read_text()))
"""
    try:
        assert run(program, str(outside.pid), str(tmp_path)) == ["None EPERM EPERM", "-9 1", "True", "EACCES"]
        assert outside.poll() is None
    finally:
        outside.kill()
        outside.wait()


@linux
@pytest.mark.parametrize(
    ("lacking", "feature"),
    [
        ("landlock.version = lambda: 0", "landlock"),
        ("landlock.version = lambda: 3", "landlock_network"),
        ("landlock.version = lambda: 5", "landlock_signals"),
        ("seccomp.is_available = lambda: False", "seccomp"),
        ("import feature_ops.sandbox.confine as own; own.count_apart = lambda *_: False", "thread_limit"),
    ],
)
def test_a_required_feature_that_is_missing_keeps_the_code_from_running(lacking: str, feature: str) -> None:
    program = f"""
{lacking}
profile = Profile(readable=PYTHON, processes=True, ports=(443,), limits=Limits(threads=50))
if {feature!r} != "thread_limit":
    profile = Profile(readable=PYTHON, processes=True, ports=(443,), limits=Limits(threads=None))
try:
    confine(profile, required=[{feature!r}])
except SandboxError as error:
    print(error)
print(*confine(profile))
"""
    message, missing = run(program)
    assert message.startswith(f"FEATURE_OPS_SANDBOX_REQUIRED names {feature}, but this machine has ")
    assert WITHOUT[Feature(feature)] in message
    assert feature in missing.split()


@linux
def test_threads_that_a_sandbox_would_not_reach_are_an_error() -> None:
    program = """
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    confine(Profile())
except SandboxError as error:
    print(error)
sys.stdout.flush()
os._exit(0)
"""
    assert "the process has 2 threads" in run(program)[0]


@linux
@pytest.mark.parametrize("part", ["seccomp.install", "landlock.restrict"])
def test_a_protection_that_fails_is_an_error_and_no_warning(part: str) -> None:
    module = part.partition(".")[0]
    broken = "lambda: 99" if module == "landlock" else "lambda *_: []"
    name = "version" if module == "landlock" else "program"
    program = f"""
{module}.{name} = {broken}
import feature_ops.sandbox.libc as libc
real = libc.load_libc()
class Refuses:
    def __getattr__(self, name):
        return getattr(real, name)
    def syscall(self, number, *arguments):
        return -1
{module}.load_libc = lambda: Refuses()
seccomp.is_available = lambda: True
try:
    confine(Profile(readable=PYTHON, limits=Limits(threads=None)))
except SandboxError as error:
    print(error)
"""
    assert run(program)


def test_what_is_missing_is_logged_once_and_forged_names_are_ignored(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_logged", set())
    with caplog.at_level(logging.WARNING):
        for report in (["landlock", "forged\nline"], ["landlock", {}], "seccomp", None, 3):
            log_missing(report)
    assert [record.getMessage() for record in caplog.records] == [
        f"The sandbox is weaker on this machine: {WITHOUT[Feature.LANDLOCK]}."
    ]


def test_the_setting_takes_known_features_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_OPS_SANDBOX_REQUIRED", json.dumps(list(Feature)))
    assert Settings().sandbox_required == tuple(Feature)
    monkeypatch.setenv("FEATURE_OPS_SANDBOX_REQUIRED", '["landlok"]')
    with pytest.raises(ValueError, match="landlock"):
        Settings()


def test_every_feature_says_what_it_needs() -> None:
    assert set(WITHOUT) == set(Feature)
    with pytest.raises(SandboxError, match="remove it from the setting"):
        require([Feature.SECCOMP], ["seccomp"])
    require([Feature.SECCOMP], ["landlock"])


@linux
def test_the_check_prints_what_this_machine_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "feature_ops.sandbox"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={"PYTHONPATH": "plugins"},
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == (0 if lines == ["The machine has every feature."] else 1), done.stderr
    assert done.returncode == 0 or {line.partition(":")[0] for line in lines} <= set(Feature)

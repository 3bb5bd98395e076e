"""
Python programs that start without importing anything again, forked from a process that has imported it all.

Airflow's scheduler starts tasks in the same way. As a program this module is that process: it receives a
program with its arguments, environment and standard streams through a socket, and runs it in a fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[2]

# What the steps import while they run, beyond what the scheduler preloads.
_MODULES = (
    "feature_ops.datasets.validation",
    "feature_ops.feast.engine.arrow_engine",
    "feature_ops.feast.engine.load",
    "feature_ops.feast.materialize",
    "feature_ops.feast.verify",
)
_MESSAGE_BYTES = 1 << 20


@dataclass
class Program:
    """
    A program that runs; used like a ``subprocess.Popen`` whose three streams are pipes of text.

    :param pid: its process id; it leads a session of its own.
    """

    pid: int
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]
    _status: socket.socket
    returncode: int | None = field(default=None, init=False)

    def wait(self, timeout: float) -> int:
        """Wait for its end; returns the exit code, or the negative number of the signal that ended it."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            self.returncode = int(self._status.recv(64) or b"1")
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Close its input and read both outputs to their ends."""
        self.stdin.close()
        read: dict[Any, list[bytes]] = {self.stdout: [], self.stderr: []}
        with selectors.DefaultSelector() as selector:
            for stream in read:
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(timeout)
                if not ready:
                    os.killpg(self.pid, signal.SIGKILL)
                    raise TimeoutError(f"the program did not end within {timeout:.0f} s of silence")
                for key, _ in ready:
                    part = os.read(key.fd, 1 << 16)
                    read[key.fileobj].append(part)
                    if not part:
                        selector.unregister(key.fileobj)
        self.wait(timeout)
        out, errors = (b"".join(parts).decode(errors="replace") for parts in read.values())
        self.stdout.close()
        self.stderr.close()
        return out, errors


class WarmPython:
    """
    Starts programs in forks of one process.

    :param variables: environment of that process, beside this one's; what it reads at import stays as it is.
    :param modules: imported there, beside what the steps use.
    """

    def __init__(self, variables: Mapping[str, str] | None = None, modules: tuple[str, ...] = ()) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MESSAGE_BYTES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_python", str(theirs.fileno()), *modules],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(variables or {})},
            cwd=PROJECT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def start(
        self,
        code: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        folder: Path = PROJECT,
        joined: bool = False,
    ) -> Program:
        """
        Run code as ``python -c`` does.

        :param environment: the whole environment; this process's if None.
        :param joined: whether its errors go to its standard output.
        """
        status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = (os.pipe() for _ in range(3))
        message = {
            "code": code,
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "folder": str(folder),
        }
        passed = [in_read, out_write, out_write if joined else err_write, theirs.fileno()]
        socket.send_fds(self._socket, [json.dumps(message).encode()], passed)
        for fd in (in_read, out_write, err_write):
            os.close(fd)
        theirs.close()
        pid = int(status.recv(64) or b"0")
        if not pid:
            raise RuntimeError("the process that forks has ended: its output says why")
        streams = (os.fdopen(in_write, "w"), os.fdopen(out_read), os.fdopen(err_read))
        return Program(pid, *streams, status)

    def close(self) -> None:
        """End the process that forks; programs that still run go on."""
        self._socket.close()
        self._process.wait(30)


def _serve(requests: socket.socket) -> None:
    # Who waits for a program is forked, too, and nobody waits for that one.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, fds, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, 4)
        if not message:
            return
        if not os.fork():
            requests.close()
            _wait_for_program(json.loads(message), fds)
        for fd in fds:
            os.close(fd)


def _wait_for_program(request: dict[str, Any], fds: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status_fd = fds
    pid = os.fork()
    if not pid:
        os.close(status_fd)
        _run(request, streams)
    for stream in streams:
        os.close(stream)
    with socket.socket(fileno=status_fd) as status:
        status.send(str(pid).encode())
        _, ended = os.waitpid(pid, 0)
        try:
            status.send(str(os.waitstatus_to_exitcode(ended)).encode())
        finally:
            os._exit(0)


def _run(request: dict[str, Any], streams: list[int]) -> None:
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in set(streams) - {0, 1, 2}:
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["-c", *request["arguments"]]
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        for output in (sys.stdout, sys.stderr):
            output.flush()
        os._exit(code)


def main() -> None:
    """Import everything, then serve requests until the other end closes its socket."""
    from feature_ops.preload import preload

    preload()
    for module in (*_MODULES, *sys.argv[2:]):
        importlib.import_module(module)
    # As Airflow's executor does: no collection in a program looks at what was imported before.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        _serve(requests)


if __name__ == "__main__":
    main()

"""
Child processes that never outlive the stack.

Each child leads a session of its own, so it and all that it starts can be found and ended
together. Three things see to that: :meth:`Processes.stop`; a keeper process that ends them when
this process dies without a word (SIGKILL, out of memory); and a note per child on disk, by which
the next start finds what even the keeper could not end.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import IO

import psutil

from demo.errors import DemoError
from demo.sessions import Session, end_sessions


@dataclass(frozen=True)
class Child:
    """A started child process and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def last_line(self) -> str:
        """Return the last line that it has written, which tells most."""
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
        return lines[-1][:300]

    def check(self) -> None:
        """Raise a :class:`DemoError` with the end of its log if it is dead."""
        if not self.alive:
            raise DemoError(
                f"{self.name} ended with code {self.process.returncode}: {self.last_line()} "
                f"(all of it in {self.log}); start again with `make demo`."
            )


class Processes:
    """
    The child processes of one stack.

    :param home: the stack's folder; only one process at a time may run a stack in it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._notes = home / "run"
        self._lock: IO[str] | None = None
        self._keeper: subprocess.Popen[str] | None = None
        self._children: dict[str, tuple[Child, Session]] = {}
        self._guard = Lock()
        self._closing = False

    def open(self) -> int:
        """
        Take the folder and end what a killed stack left there; returns how many processes that was.

        :raises DemoError: if another stack runs there.
        """
        for folder in (self._notes, self._home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._closing = False
        leftovers = [Session.from_json(note.read_text()) for note in self._notes.glob("*.json")]
        ended = end_sessions(leftovers, grace=5)
        for note in self._notes.glob("*.json"):
            note.unlink()
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "demo.keeper"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return ended

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """
        Start a child; its output goes to ``logs/<name>.log``.

        :param environment: its whole environment; ours if None.
        :param user: the user and group id to run as; ours if None.
        :param stop_signal: what asks it to end quickly and cleanly.
        """
        with self._guard:
            if self._closing:
                raise DemoError(f"{name} was not started, since the stack is being stopped.")
            return self._start(name, command, environment, cwd, user, stop_signal)

    def _start(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None,
        cwd: Path | None,
        user: int | None,
        stop_signal: signal.Signals,
    ) -> Child:
        log = self._home / "logs" / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=environment,
                cwd=cwd or self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        session = Session(process.pid, psutil.Process(process.pid).create_time(), int(stop_signal))
        (self._notes / f"{name}.json").write_text(session.to_json())
        self._tell_keeper(session)
        child = Child(name, process, log)
        self._children[name] = (child, session)
        return child

    def run(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path, remedy: str
    ) -> None:
        """
        Run a command to its end, or to the end of the stack; its output goes to ``logs/<name>.log``.

        :raises DemoError: with the last line of its output and the remedy, if it fails.
        """
        child = self.start(name, command, environment, cwd)
        code = child.process.wait()
        self._forget(name)
        if code:
            raise DemoError(f"{name} failed: {child.last_line()}. See {child.log}; {remedy}.")

    @property
    def children(self) -> list[Child]:
        """What was started and not stopped."""
        return [child for child, _ in self._children.values()]

    def stop(self, names: Sequence[str] | None = None, grace: float = 8) -> None:
        """
        End children with all that they started.

        :param names: which; all if None.
        :param grace: seconds for a clean end before they are killed.
        """
        chosen = list(self._children) if names is None else [n for n in names if n in self._children]
        end_sessions([self._children[name][1] for name in chosen if name in self._children], grace)
        for name in chosen:
            self._forget(name)

    def kill(self, name: str) -> None:
        """Kill a child with all that it started; nothing of it can end cleanly."""
        end_sessions([replace(self._children[name][1], stop_signal=signal.SIGKILL)], grace=5)
        self._forget(name)

    def close(self) -> None:
        """End every child, then let go of the folder."""
        with self._guard:
            self._closing = True
        self.stop()
        if self._keeper:
            assert self._keeper.stdin
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _forget(self, name: str) -> None:
        # Both stop() and run() may be the first to see a child's end.
        child, _ = self._children.pop(name, (None, None))
        if child:
            child.process.wait()
            (self._notes / f"{name}.json").unlink(missing_ok=True)

    def _take_lock(self) -> None:
        # The system frees this lock when its holder dies: there are no stale ones.
        lock = (self._home / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise DemoError(
                f"A stack is already running in {self._home} (process {holder}): "
                "use it, or stop it with Ctrl-C where it was started."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _tell_keeper(self, session: Session) -> None:
        assert self._keeper
        assert self._keeper.stdin
        # Told right after the start: a child is unknown to it for a moment only.
        self._keeper.stdin.write(session.to_json() + "\n")
        self._keeper.stdin.flush()


def clean_environment(**values: str) -> dict[str, str]:
    """Return this process's environment for a child, without what would slow or mislead it."""
    unwanted = ("AIRFLOW", "AWS_", "FEAST_", "GIT_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    # A proxy that the environment names must not stand between servers on loopback.
    direct = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1,localhost"]))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct, **values}


def is_running(home: Path) -> bool:
    """Whether a stack runs in that folder."""
    try:
        with (home / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False

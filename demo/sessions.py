"""Sessions of processes: find and end a child with all that it started."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import psutil


@dataclass(frozen=True)
class Session:
    """
    A session led by one of our children.

    :param leader: the child's process id, which is the session's id, too.
    :param started: when it started, in seconds since 1970: tells it from a stranger that was
        given the same process id later.
    :param stop_signal: what asks the leader to end.
    """

    leader: int
    started: float
    stop_signal: int = signal.SIGTERM

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Session:
        """Read what :meth:`to_json` wrote; a note cut short by a crash reads as nobody's session."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls(0, 0.0)

    def members(self) -> list[psutil.Process]:
        """Return the session's living processes, its leader first."""
        if not self.leader or self._is_strangers():
            return []
        return [process for process in psutil.process_iter() if self._holds(process)]

    def _is_strangers(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return abs(psutil.Process(self.leader).create_time() - self.started) > 1
        # A dead leader's id is not given away while its session has members: they are ours.
        return False

    def _holds(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            return os.getsid(process.pid) == self.leader and process.status() != psutil.STATUS_ZOMBIE
        return False


def end_sessions(sessions: Sequence[Session], grace: float) -> int:
    """
    Ask each session's leader to end, kill what is left; returns how many processes there were.

    :param grace: seconds that the leaders have; what they leave behind is killed at once.
    """
    found = [process for session in sessions for process in session.members()]
    asked = {session.leader: session.stop_signal for session in sessions}
    leaders = [process for process in found if process.pid in asked]
    for leader in leaders:
        _signal(leader.pid, asked[leader.pid])
    _wait_for_end(leaders, grace)
    left = [process for session in sessions for process in session.members()]
    for process in left:
        _signal(process.pid, signal.SIGKILL)
    _wait_for_end(left, grace)
    return len(found)


def _wait_for_end(processes: Sequence[psutil.Process], timeout: float) -> None:
    # Not psutil's own wait: it would take the exit code away from who started the process.
    deadline = time.monotonic() + timeout
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

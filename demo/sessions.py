"""Sessions of processes: find and end a child with all that it started."""

from __future__ import annotations

import json
import os
import signal
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

    :param grace: seconds between asking and killing.
    """
    members = {session: session.members() for session in sessions}
    for session, processes in members.items():
        if processes:
            _signal(session.leader, session.stop_signal)
    found = [process for processes in members.values() for process in processes]
    psutil.wait_procs(found, timeout=grace)
    for session in sessions:
        for process in session.members():
            _signal(process.pid, signal.SIGKILL)
    psutil.wait_procs([process for session in sessions for process in session.members()], timeout=grace)
    return len(found)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

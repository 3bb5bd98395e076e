"""What every server of a stack needs to start: a folder, processes, ports and secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.credentials import Credentials
from demo.ports import Ports
from demo.processes import Processes


@dataclass(frozen=True)
class Site:
    """A running stack's folder and what belongs to it."""

    home: Path
    processes: Processes
    ports: Ports
    credentials: Credentials

    def folder(self, name: str) -> Path:
        """Return that folder in the home, made if missing and closed to other users."""
        path = self.home / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

"""Podman, as the tests use it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Without systemd: no journal, no cgroups of its own.
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@dataclass(frozen=True)
class Podman:
    """
    :param home: folder for its configuration.
    """

    home: Path

    def __post_init__(self) -> None:
        (self.home / "containers.conf").write_text(_CONFIGURATION)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self.home / "containers.conf")}

    def __call__(self, *arguments: str, given: str | None = None, cwd: Path | None = None) -> str:
        """Return what it printed; raises a RuntimeError with what it said if it failed."""
        return self.run(["podman", *arguments], given, cwd)

    def run(self, command: list[str], given: str | None = None, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command, input=given, cwd=cwd or self.home, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:3])}: {(done.stdout + done.stderr).strip()[-2000:]}")
        return done.stdout

    def attempt(self, *arguments: str, cwd: Path | None = None) -> str | None:
        """Return what it printed, None if it failed."""
        try:
            return self(*arguments, cwd=cwd)
        except RuntimeError:
            return None

"""Compose on podman: brings up docker-compose.yaml with what stands in for images that can't be pulled."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.container_stack import read_settings
from demo.waiting import wait_until
from tests.conftest import PROJECT
from tests.kubernetes.podman import Podman

OVERRIDE = PROJECT / "tests" / "compose" / "override.yaml"


@dataclass
class Compose:
    """
    The project's containers.

    :param home: folder for the socket, and with the file ``.env``.
    """

    podman: Podman
    home: Path
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._socket = self.home / "podman.sock"
        self._service = subprocess.Popen(
            ["podman", "system", "service", "--time=0", f"unix://{self._socket}"],
            env=self.podman.environment,
            stdout=(self.home / "podman.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        wait_until(self._socket.exists, "podman's API is there", timeout=30)
        # Without systemd nobody runs health checks.
        threading.Thread(target=self._check_health, daemon=True).start()

    @property
    def command(self) -> list[str]:
        """How Compose is called, from anywhere."""
        return [
            "env",
            f"DOCKER_HOST=unix://{self._socket}",
            str(Path(sys.executable).with_name("docker-compose")),
            f"--project-directory={PROJECT}",
            f"--env-file={self.home / '.env'}",
            f"--file={PROJECT / 'docker-compose.yaml'}",
            f"--file={OVERRIDE}",
        ]

    def __call__(self, *arguments: str, timeout: float = 900) -> str:
        """Run a command of Compose; returns what it printed, raises with what it said."""
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise RuntimeError(f"docker compose {arguments[0]}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def up(self) -> None:
        """Start everything and wait for the end of the job that ends a first start."""
        try:
            self("up", "--detach", "--no-build", timeout=1200)
        except RuntimeError as error:
            jobs = self("logs", "--tail", "40", "airflow-init", "prepare")
            raise RuntimeError(f"{error}\n{jobs}") from None
        wait_until(
            lambda: self._exit_code("first-runs") is not None, "the first start has ended", timeout=900
        )
        if self._exit_code("first-runs"):
            raise RuntimeError(self("logs", "--tail", "40", "first-runs"))

    def _exit_code(self, service: str) -> int | None:
        ended = [
            one["ExitCode"]
            for one in self.containers()
            if (one["Service"], one["State"]) == (service, "exited")
        ]
        return ended[0] if ended else None

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers with state, health and exit code."""
        lines = self("ps", "--all", "--format", "json").splitlines()
        return [json.loads(line) for line in lines]

    def kill(self, *services: str) -> None:
        """End services without a word."""
        self("kill", *services)

    def settings(self) -> dict[str, str]:
        """Return what `.env` says."""
        return read_settings(self.home / ".env")

    def configure(self, **settings: str) -> None:
        """Change settings in `.env`, as a person would."""
        changed = self.settings() | settings
        (self.home / ".env").write_text("".join(f"{name}={value}\n" for name, value in changed.items()))

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what podman knows of a service's container."""
        (found,) = json.loads(self.podman("inspect", f"feature-ops-{service}-1"))
        return dict(found)

    def close(self) -> None:
        """Remove everything."""
        with suppress(RuntimeError):
            self("--profile", "*", "down", "--volumes", "--timeout", "3")
        self._stopped.set()
        self._service.terminate()
        self._service.wait(20)

    def _check_health(self) -> None:
        while not self._stopped.wait(2):
            names = self.podman.attempt(
                "ps", "--filter", "label=com.docker.compose.project", "--format", "{{.Names}}"
            )
            for name in (names or "").split():
                self.podman.attempt("healthcheck", "run", name)

"""The stack of docker-compose.yaml, brought up by Compose on podman."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.container_stack import PORTS, ContainerStack
from demo.ports import Ports
from demo.scene import Scene
from demo.songs import write_catalogue
from demo.story import cast, written
from deploy.compose.passwords import complete
from tests.compose.compose import Compose
from tests.compose.images import build_images
from tests.kubernetes.podman import Podman
from tests.programs import need


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """The stack, up and filled by its first start; where podman is missing, tests are skipped."""
    need("podman", "buildah", "runc", "netavark", "debootstrap")
    with tempfile.TemporaryDirectory(prefix="feature-ops-compose-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        podman = Podman(home)
        build_images(podman)
        inbox = home / "inbox"
        inbox.mkdir()
        # Root of this machine writes, users of containers read and write.
        inbox.chmod(0o777)
        free = Ports(home / "ports.json", print)
        settings = {
            **{name: free.find(name) for name in (*PORTS, "PROMETHEUS_PORT", "ALERTMANAGER_PORT")},
            "COMPOSE_PROFILES": "monitoring",
            "INBOX": inbox,
            "FEATURE_OPS_WATCH_INTERVAL": 2,
        }
        environment = home / ".env"
        environment.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        complete(environment)
        stack = Compose(podman, home)
        try:
            stack.up()
            yield stack
        finally:
            stack.close()


@pytest.fixture(scope="session")
def scene(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The story's stage on that stack."""
    folder = tmp_path_factory.mktemp("songs")
    stack = ContainerStack(compose.home / ".env", compose.command)
    with closing(stack):
        yield Scene(stack, *cast(folder, written(folder / "catalogue.parquet", write_catalogue)))

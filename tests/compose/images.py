"""The project's images from its own Dockerfiles, on a base that is made here under the public base's name."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import PROJECT
from tests.kubernetes.image import ensure_base
from tests.kubernetes.podman import Podman

# Names as Compose asks Docker's API for them.
IMAGES = {
    "docker.io/feature-ops/airflow:latest": PROJECT,
    "docker.io/feature-ops/jukebox:latest": PROJECT / "model",
    "docker.io/feature-ops/mlflow:latest": PROJECT / "deploy" / "mlflow",
    "localhost/feature-ops-engines:latest": Path(__file__).with_name("engines"),
}


def build_images(podman: Podman) -> None:
    """Build all of them; layers that are there already are used again."""
    ensure_base(podman)
    for name, folder in IMAGES.items():
        podman.run(["buildah", "bud", "--layers", "--isolation", "chroot", "--tag", name, str(folder)])

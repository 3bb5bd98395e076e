"""The project's images from its own Dockerfiles, on a base that is made here under the public base's name."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import PROJECT
from tests.kubernetes.image import build_from, ensure_base
from tests.kubernetes.podman import Podman

MLFLOW, ENGINES = PROJECT / "deploy" / "mlflow", Path(__file__).with_name("engines")
# Names as Compose asks Docker's API for them; the folder they are built in, and by which file.
IMAGES = {
    "docker.io/feature-ops/airflow:latest": (PROJECT, PROJECT / "Dockerfile"),
    "docker.io/feature-ops/jukebox:latest": (PROJECT, PROJECT / "model" / "Dockerfile"),
    "docker.io/feature-ops/mlflow:latest": (MLFLOW, MLFLOW / "Dockerfile"),
    "localhost/feature-ops-engines:latest": (ENGINES, ENGINES / "Dockerfile"),
}


def build_images(podman: Podman) -> None:
    """Build all of them."""
    ensure_base(podman)
    for name, (folder, dockerfile) in IMAGES.items():
        build_from(podman, name, folder, dockerfile)

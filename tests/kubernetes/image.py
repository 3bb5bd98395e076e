"""Images built from the project's Dockerfiles on a base that is made here: no registry is needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.kubernetes.podman import Podman

PROJECT = Path(__file__).resolve().parents[2]
MODEL_DOCKERFILE = PROJECT / "model" / "Dockerfile"
# What the image is made of.
_FILES = (
    "model/Dockerfile",
    "model/requirements.txt",
    "model/jukebox/**/*",
    "plugins/feature_ops/__init__.py",
    "plugins/feature_ops/keys.py",
    "plugins/feature_ops/feast/__init__.py",
    "plugins/feature_ops/feast/importing.py",
    "plugins/feature_ops/feast/engine/**/*",
    "plugins/feature_ops/feast/offline/**/*",
    "plugins/feature_ops/feast/reader/**/*",
)
# The name that the Dockerfile asks for.
BASE = "localhost/python:3.11-slim"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    # pip and what it runs trust what this machine trusts.
    "PIP_CERT": _CERTIFICATES,
    "SSL_CERT_FILE": _CERTIFICATES,
}


def ensure_base(podman: Podman) -> None:
    """Make the image that the Dockerfiles begin with, unless it is there."""
    if podman.attempt("image", "exists", BASE) is None:
        _make_base(podman)


def build_from(podman: Podman, name: str, context: Path, dockerfile: Path) -> None:
    """Build an image; layers that are there already are used again."""
    # In a chroot, since there may be no cgroups to build in; its packages are kept for the next one.
    build = ["buildah", "bud", "--layers", "--isolation", "chroot", "--file", str(dockerfile)]
    podman.run([*build, "--tag", name, str(context)])


def model_content_hash() -> str:
    """Return a hash of the files that the model's image is made of."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in _FILES for file in PROJECT.glob(pattern)):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(f"{file.relative_to(PROJECT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _make_base(podman: Podman) -> None:
    """Make Debian with Python, which is what the public image of that name is."""
    with tempfile.TemporaryDirectory(prefix="base-image-") as folder:
        root = Path(folder, "root")
        packages = "ca-certificates,python3,python3-venv,python3-pip"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        shutil.copyfile(_CERTIFICATES, f"{root}{_CERTIFICATES}")
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        archive = Path(folder, "base.tar")
        subprocess.run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."], check=True)
        changes = [f"--change=ENV {name}={value}" for name, value in BASE_ENVIRONMENT.items()]
        podman("import", *changes, str(archive), BASE)

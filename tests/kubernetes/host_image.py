"""
The model's image for tests: its own Dockerfile on this machine's programs and packages.

Downloading and installing the packages takes minutes. `make test-containers` does that with the same
Dockerfile; here the folders below are mounted into the build and into each container, read-only. Code, user,
environment and entry point are those of the Dockerfile.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.conftest import PROJECT
from tests.kubernetes.image import BASE_ENVIRONMENT, MODEL_DOCKERFILE, model_content_hash
from tests.kubernetes.podman import Podman

# Where the Dockerfile puts its environment.
_ENVIRONMENT = "opt/jukebox"
_FOLDERS = ("usr", "lib", "lib64", "bin", "sbin", "etc/ssl")
_EMPTY = ("tmp", "proc", "sys", "dev", "run", "var/lib")


def host_folders() -> list[Path]:
    """Return this machine's folders with programs, Python and the packages of the tests."""
    system = [Path("/", folder) for folder in _FOLDERS]
    python = [Path(folder) for folder in (sys.base_prefix, sys.prefix) if not folder.startswith("/usr/")]
    return [folder for folder in (*system, *python) if folder.is_dir() and not folder.is_symlink()]


def host_model_image(podman: Podman) -> str:
    """Return the name of the image, built unless it exists for the same files."""
    made_of = f"{model_content_hash()}{Path(__file__).read_text()}{sys.prefix}{sys.base_prefix}"
    tag = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    name = f"localhost/jukebox-on-host:{tag}"
    # Tests in several processes need one image.
    with Path(tempfile.gettempdir(), "feature-ops-host-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if podman.attempt("image", "exists", name) is None:
            _build(podman, name, tag)
    return name


def _build(podman: Podman, name: str, tag: str) -> None:
    base, packages = f"localhost/host-base:{tag}", f"localhost/host-packages:{tag}"
    with tempfile.TemporaryDirectory(prefix="host-image-") as folder:
        root = Path(folder, "base")
        _base(root)
        _import(podman, root, base, BASE_ENVIRONMENT)
        _environment(Path(folder, "packages", _ENVIRONMENT))
        _import(podman, Path(folder, "packages"), packages, {})
    contexts = (("python:3.11-slim", base), ("packages", packages))
    mounts = [f"--volume={folder}:{folder}:ro" for folder in host_folders()]
    command = [
        "buildah",
        "bud",
        "--isolation",
        "chroot",
        "--file",
        str(MODEL_DOCKERFILE),
        "--tag",
        name,
        *mounts,
    ]
    command += [f"--build-context={stage}=container-image://{image}" for stage, image in contexts]
    podman.run([*command, str(PROJECT)])


def _base(root: Path) -> None:
    """Make a file system that is empty but for mount points, links such as /bin, and the list of users."""
    for folder in (*host_folders(), *(Path("/", name) for name in _EMPTY)):
        (root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in _FOLDERS:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
    for file in ("passwd", "group", "login.defs"):
        shutil.copyfile(Path("/etc", file), root / "etc" / file)


def _environment(folder: Path) -> None:
    """Make a virtual environment whose packages are those of the tests' environment."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(Path(sys.base_prefix, "bin", "python3"))
    (folder / "pyvenv.cfg").write_text(
        f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\n"
    )
    packages = Path(sysconfig.get_path("purelib"))
    link = folder / packages.relative_to(sys.prefix)
    link.parent.mkdir(parents=True)
    link.symlink_to(packages)


def _import(podman: Podman, root: Path, name: str, environment: dict[str, str]) -> None:
    archive = root.parent / f"{root.name}.tar"
    subprocess.run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."], check=True)
    podman(
        "import", *(f"--change=ENV {key}={value}" for key, value in environment.items()), str(archive), name
    )

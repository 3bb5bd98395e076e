"""
Bills of materials of the wheel and of each image, in CycloneDX: ``make sbom`` writes them into ``sbom/``.

They list what the lock files lock, since wheel and images are installed from these alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.markers import Marker
from packaging.requirements import Requirement

from deploy.lock_files import Locked, closure, normalized, read_lock

PROJECT = Path(__file__).resolve().parents[1]
_ALGORITHMS = {
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}
_LINUX = [
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine}
    for machine in ("x86_64", "aarch64")
]
_COPIED_LOCK = re.compile(r"^COPY (?P<path>\S*requirements\.txt) \.$", re.MULTILINE)
_BASE = re.compile(r"^FROM (?P<name>[^\s:@]+):(?P<tag>[^\s@]+)", re.MULTILINE)
_DEBIAN = re.compile(
    r"apt-get install [^&]*?--no-install-recommends (?P<names>[a-z0-9 .+-]+?)\s*\\?$", re.MULTILINE
)

# Adds hashes to the text of a lock file.
AddHashes = Callable[[str], str]


@dataclass(frozen=True)
class Image:
    """
    An image of the project.

    :param dockerfile: its path in the project.
    :param context: the folder that it is built from.
    """

    name: str
    dockerfile: str
    context: str = "."

    @property
    def lock_files(self) -> list[Path]:
        """The lock files that its Dockerfile installs."""
        return [PROJECT / self.context / found["path"] for found in _COPIED_LOCK.finditer(self._text)]

    def base(self) -> list[Component]:
        """Return what is not locked: the base image, and Debian's packages."""
        bases = dict.fromkeys(found.group("name", "tag") for found in _BASE.finditer(self._text))
        names = [name for found in _DEBIAN.finditer(self._text) for name in found["names"].split()]
        return [
            *(_component(name, tag, "docker", ComponentType.CONTAINER) for name, tag in bases),
            *(_component(name, None, "deb", namespace="debian") for name in dict.fromkeys(names)),
        ]

    @property
    def _text(self) -> str:
        return (PROJECT / self.dockerfile).read_text()


IMAGES = (
    Image("airflow", "Dockerfile"),
    Image("model", "model/Dockerfile"),
    Image("mlflow", "deploy/mlflow/Dockerfile", "deploy/mlflow"),
)


def image_bom(image: Image, add_hashes: AddHashes | None = None) -> Bom:
    """Return the bill of materials of an image."""
    packages = [one for file in image.lock_files for one in _locked(file, add_hashes)]
    root = Component(
        name=f"feature-ops/{image.name}", type=ComponentType.CONTAINER, version=_version(), bom_ref="image"
    )
    direct = [one.name for one in packages if one.is_direct]
    return _bom(root, packages, direct, image.base())


def wheel_bom(wheel: Path | None = None, add_hashes: AddHashes | None = None) -> Bom:
    """
    Return the bill of materials of the wheel, with the versions that it is tested with.

    :param wheel: the built wheel, whose hash is stated.
    """
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    core = [Requirement(text).name for text in project["dependencies"]]
    extras = [Requirement(text).name for texts in project["optional-dependencies"].values() for text in texts]
    packages = closure(_locked(PROJECT / "requirements.txt", add_hashes), [*core, *extras])
    root = Component(
        name="feature-ops",
        type=ComponentType.LIBRARY,
        version=_version(),
        bom_ref="wheel",
        purl=PackageURL("pypi", name="feature-ops", version=_version()),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(wheel))] if wheel else None,
    )
    required = {one.name for one in closure(packages, core)}
    return _bom(root, packages, [normalized(name) for name in (*core, *extras)], required=required)


def write(bom: Bom, file: Path) -> None:
    """Write a bill of materials as JSON."""
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    file.write_text(f"{text}\n", encoding="utf-8")


def hashes_from_index(lock: str) -> str:
    """
    Return a lock file with the hashes that the package index states.

    :raises SystemExit: the index cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.in"
        file.write_text(lock)
        command = [
            *(
                str(Path(sys.executable).with_name("uv")),
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--no-deps",
            ),
            *("--python-version", "3.11", "--no-header", "--generate-hashes", "--no-emit-index-url"),
            *("--no-emit-find-links", "--no-annotate", str(file)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"no hashes: {done.stderr.strip()[-300:]}\nWithout hashes: make sbom OFFLINE=1")
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing is left behind among them."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        shutil.copytree(
            PROJECT / "plugins",
            source / "plugins",
            ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        )
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(PROJECT / name, source)
        command = [sys.executable, "-c", _BUILD, str(folder)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the wheel is not built: {done.stderr.strip()[-500:]}")
        return folder / done.stdout.strip().splitlines()[-1]


_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def main() -> int:
    """Write the bills of materials; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files are written")
    parser.add_argument("--offline", action="store_true", help="without hashes of packages")
    options = parser.parse_args()
    add_hashes = None if options.offline else hashes_from_index
    options.folder.mkdir(parents=True, exist_ok=True)
    wheel = build_wheel(options.folder.resolve())
    boms = {"wheel": wheel_bom(wheel, add_hashes)}
    boms |= {f"image-{image.name}": image_bom(image, add_hashes) for image in IMAGES}
    for name, bom in boms.items():
        file = options.folder / f"{name}.cdx.json"
        write(bom, file)
        print(f"{file}: {len(bom.components)} components")
    return 0


def _bom(
    root: Component,
    packages: Iterable[Locked],
    direct: Iterable[str],
    others: Iterable[Component] = (),
    required: set[str] | None = None,
) -> Bom:
    bom = Bom(metadata=BomMetaData(component=root, timestamp=_timestamp()))
    locked = {(one.name, one.version): one for one in packages}
    components: dict[str, list[Component]] = {}
    for one in locked.values():
        components.setdefault(one.name, []).append(_package(one, required))
    all_components = [*(one for several in components.values() for one in several), *others]
    for component in all_components:
        bom.components.add(component)
    bom.register_dependency(
        root, [c for name in dict.fromkeys(direct) for c in components.get(name, [])] + [*others]
    )
    for parent, needs in _needs(locked.values()).items():
        for component in components.get(parent, []):
            bom.register_dependency(component, [c for name in needs for c in components[name]])
    # The same input gives the same file.
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, repr([root.name, root.version, sorted(locked)]))
    return bom


def _needs(packages: Iterable[Locked]) -> Mapping[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for one in packages:
        for parent in one.needed_by:
            needs.setdefault(parent, []).append(one.name)
    return needs


def _package(one: Locked, required: set[str] | None) -> Component:
    component = _component(one.name, one.version, "pypi")
    on_linux = not one.marker or any(Marker(one.marker).evaluate(machine) for machine in _LINUX)
    optional = required is not None and one.name not in required
    component.scope = ComponentScope.OPTIONAL if optional else ComponentScope.REQUIRED
    if not on_linux:
        component.scope = ComponentScope.EXCLUDED
    if one.marker:
        component.properties.add(Property(name="feature-ops:marker", value=one.marker))
    hashes = [HashType(alg=_ALGORITHMS[name], content=digest) for name, digest in one.hashes]
    if hashes:
        # Each hash is that of one distribution: a wheel for a platform, or the source.
        reference = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(component.purl)), hashes=hashes
        )
        component.external_references.add(reference)
    return component


def _component(
    name: str,
    version: str | None,
    kind: str,
    type_: ComponentType = ComponentType.LIBRARY,
    namespace: str | None = None,
) -> Component:
    purl = PackageURL(kind, namespace=namespace, name=name, version=version)
    return Component(name=name, version=version, type=type_, purl=purl, bom_ref=str(purl))


def _locked(file: Path, add_hashes: AddHashes | None) -> list[Locked]:
    text = file.read_text()
    packages = read_lock(text)
    if add_hashes:
        hashes = {(one.name, one.version): one.hashes for one in read_lock(add_hashes(text))}
        for one in packages:
            one.hashes = hashes[one.name, one.version]
    return packages


def _version() -> str:
    return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])


def _timestamp() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

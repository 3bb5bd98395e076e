"""The bills of materials are valid CycloneDX and list what the lock files lock."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.bill_of_materials import IMAGES, Image, image_bom, wheel_bom, write
from deploy.lock_files import closure, read_lock
from tests.conftest import PROJECT
from tests.unit.docs.made import environment, make

BY_NAME = {image.name: image for image in IMAGES}
LOCKS = {
    "airflow": ["requirements.txt", "model/requirements.txt"],
    "model": ["model/requirements.txt"],
    "mlflow": ["deploy/mlflow/requirements.txt"],
}
LOCK = """\
boto3==1.2 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via -r requirements.in
botocore[crt]==1.3
    # via
    #   boto3
    #   s3fs
colorama==0.4.6 ; sys_platform == 'win32'
    # via click
Zope.Interface==5.0
""".format(a="a" * 64, b="b" * 64)


def valid(bom: Bom, folder: Path) -> dict[str, Any]:
    """Return the JSON of a bill, after it was validated with CycloneDX's own schema."""
    content = written(bom, folder)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(content)) is None
    return content


def written(bom: Bom, folder: Path) -> dict[str, Any]:
    file = folder / "bom.json"
    write(bom, file)
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def with_hashes(lock: str) -> str:
    """Stand in for the package index: a made-up hash for each package."""
    return re.sub(r"^(\S+==[^\s;]+.*)$", rf"\1 \\\n    --hash=sha256:{'c' * 64}", lock, flags=re.MULTILINE)


def pins(*files: str) -> set[tuple[str, str]]:
    """Return names and versions of lock files, read in another way than the product reads them."""
    lines = [line for file in files for line in (PROJECT / file).read_text().splitlines()]
    found = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines)
    return {(one[1].lower(), one[2]) for one in found if one}


@pytest.mark.parametrize("bom", [wheel_bom, *(partial(image_bom, image) for image in IMAGES)])
def test_each_bill_is_valid(bom: Callable[[], Bom], tmp_path: Path) -> None:
    assert valid(bom(), tmp_path)["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize("name", LOCKS)
def test_the_bill_of_an_image_lists_every_locked_package_with_version_and_hashes(
    name: str, tmp_path: Path
) -> None:
    content = written(image_bom(BY_NAME[name], with_hashes), tmp_path)
    components = [one for one in content["components"] if one["purl"].startswith("pkg:pypi/")]
    assert {(one["name"], one["version"]) for one in components} == pins(*LOCKS[name])
    for one in components:
        (reference,) = one["externalReferences"]
        assert reference["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert content["metadata"]["component"]["name"] == f"feature-ops/{name}"


def test_every_dockerfile_of_the_project_is_an_image_with_a_bill() -> None:
    found = {
        str(file.relative_to(PROJECT))
        for part in (".", "model", "deploy", "deploy/*")
        for file in PROJECT.glob(f"{part}/Dockerfile")
    }
    assert {image.dockerfile for image in IMAGES} == found
    for image in IMAGES:
        installed = re.findall(r"--requirement (\S+)", (PROJECT / image.dockerfile).read_text())
        assert [str(file.relative_to(PROJECT)) for file in image.lock_files] == LOCKS[image.name]
        assert len(installed) == len(image.lock_files)


def test_base_images_and_packages_of_debian_are_listed_without_a_version(tmp_path: Path) -> None:
    content = written(image_bom(BY_NAME["airflow"]), tmp_path)
    purls = {one["purl"] for one in content["components"]}
    assert {"pkg:docker/python@3.11-slim", "pkg:deb/debian/git", "pkg:deb/debian/openssh-client"} <= purls


def test_the_bill_of_the_wheel_lists_its_dependencies_and_the_hash_of_the_file(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"wheel")
    content = written(wheel_bom(wheel), tmp_path)
    scopes = {one["name"]: one["scope"] for one in content["components"]}
    assert {name: scopes[name] for name in ("feast", "duckdb", "boto3", "botocore")} == dict.fromkeys(
        ("feast", "duckdb", "boto3", "botocore"), "required"
    )
    assert scopes["apache-airflow"] == scopes["model-signing"] == "optional"
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert content["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_what_needs_what_is_stated(tmp_path: Path) -> None:
    content = written(image_bom(BY_NAME["mlflow"]), tmp_path)
    needs = {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}
    names = {one["bom-ref"]: one["name"] for one in content["components"]}
    assert {"boto3", "mlflow", "psycopg2-binary", "python"} == {names[ref] for ref in needs["image"]}
    (boto3,) = (ref for ref, name in names.items() if name == "boto3")
    assert "botocore" in {names[ref] for ref in needs[boto3]}


def test_the_same_lock_files_give_the_same_bill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    first, second = (written(image_bom(BY_NAME["model"]), tmp_path) for _ in range(2))
    assert first == second


def test_packages_of_other_systems_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(LOCK)
    monkeypatch.setattr(Image, "lock_files", [lock])
    content = valid(image_bom(BY_NAME["mlflow"]), tmp_path)
    (colorama,) = (one for one in content["components"] if one["name"] == "colorama")
    assert colorama["scope"] == "excluded"
    assert colorama["properties"] == [{"name": "feature-ops:marker", "value": "sys_platform == 'win32'"}]


def test_a_lock_file_is_read_with_hashes_markers_and_origins() -> None:
    packages = read_lock(LOCK)
    assert [(one.name, one.version, one.marker) for one in packages] == [
        ("boto3", "1.2", ""),
        ("botocore", "1.3", ""),
        ("colorama", "0.4.6", "sys_platform == 'win32'"),
        ("zope-interface", "5.0", ""),
    ]
    assert [digest[0] for _, digest in packages[0].hashes] == ["a", "b"]
    assert packages[0].is_direct
    assert packages[1].needed_by == ["boto3", "s3fs"]
    assert [one.name for one in closure(packages, ["Boto3"])] == ["boto3", "botocore"]


def test_a_line_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a line of a lock file: git"):
        read_lock("git+https://example.org/x\n")


def test_make_sbom_writes_a_file_for_the_wheel_and_each_image(tmp_path: Path) -> None:
    command = make("--directory", str(PROJECT), "sbom", "OFFLINE=1", f"SBOM={tmp_path}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(PROJECT))
    assert done.returncode == 0, done.stderr
    files = {file.name for file in tmp_path.iterdir()}
    (wheel,) = (name for name in files if name.endswith(".whl"))
    assert files - {wheel} == {
        "wheel.cdx.json",
        *(f"image-{name}.cdx.json" for name in ("airflow", "model", "mlflow")),
    }
    stated = json.loads((tmp_path / "wheel.cdx.json").read_text())["metadata"]["component"]["hashes"]
    assert stated[0]["content"] == hashlib.sha256((tmp_path / wheel).read_bytes()).hexdigest()
    # Built from a copy: nothing is left among the sources.
    assert not (PROJECT / "build").exists()

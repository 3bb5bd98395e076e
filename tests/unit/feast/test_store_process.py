"""What a process with the feature store's credentials may reach: the stores, and nothing of Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_ops.feast.store_process import store_profile
from tests.conftest import PROJECT

CONFIGURATION = """\
project: radio
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
online_store:
  type: ONLINE
  connection_string: ${FEAST_ONLINE_STORE}
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "feature_repo"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(CONFIGURATION.replace("ONLINE", "redis"))
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "scratch").mkdir()
    return {
        "TMPDIR": str(tmp_path / "scratch"),
        "FEAST_REGISTRY_URL": "postgresql+psycopg://feast:pw@127.0.0.1:5439/feast",
        "FEAST_ONLINE_STORE": "127.0.0.1:6390,password=pw",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:8333",
    }


def test_only_the_ports_of_the_stores_are_open(repo: Path, environment: dict[str, str]) -> None:
    assert store_profile(repo, environment).ports == (5439, 6390, 8333)


def test_only_the_scratch_folder_is_written_to_where_the_stores_are_servers(
    repo: Path, environment: dict[str, str]
) -> None:
    assert store_profile(repo, environment).writable == (Path(environment["TMPDIR"]),)


def test_folders_of_sqlite_files_are_written_to(
    repo: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (repo / "feature_store.yaml").write_text(
        CONFIGURATION.replace("ONLINE", "sqlite") + "  path: stores/online.db\n"
    )
    environment["FEAST_REGISTRY_URL"] = f"sqlite:///{tmp_path}/registry/registry.db"

    assert store_profile(repo, environment).writable[1:] == (tmp_path / "registry", repo / "stores")


@pytest.mark.parametrize("query", ["sslrootcert={path}", "sslmode=verify-full&sslrootcert={quoted}"])
def test_certificates_that_the_configuration_names_can_be_read(
    repo: Path, environment: dict[str, str], tmp_path: Path, query: str
) -> None:
    certificate = tmp_path / "registry-ca.pem"
    certificate.write_text("a certificate")
    environment["FEAST_REGISTRY_URL"] += "?" + query.format(
        path=certificate, quoted=str(certificate).replace("/", "%2F")
    )

    readable = store_profile(repo, environment).readable

    assert certificate in readable
    assert Path("/feast") not in readable


def test_of_the_feature_repository_only_its_configuration_is_readable(
    repo: Path, environment: dict[str, str]
) -> None:
    readable = store_profile(repo, environment).readable

    assert repo / "feature_store.yaml" in readable
    assert not {repo, *repo.parents} & set(readable)


ATTACK = """
import json, os, sys
from pathlib import Path
from feature_ops.feast.store_process import enter_store_sandbox
missing = enter_store_sandbox(Path(sys.argv[1]), os.environ)

def attempt(call):
    try:
        call()
    except OSError:
        return "refused"
    return "done"

print(json.dumps({
    "missing": missing,
    "of the parent": attempt(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "of airflow": attempt(lambda: open(sys.argv[2]).read()),
    "program": attempt(lambda: os.execv("/bin/true", ["true"])),
    "another file": attempt(lambda: open(sys.argv[2] + ".new", "w")),
    "scratch": attempt(lambda: open(os.environ["TMPDIR"] + "/file", "w")),
    "configuration": attempt(lambda: open(sys.argv[1] + "/feature_store.yaml").read()),
}))
"""


def test_code_in_it_reads_nothing_of_the_process_that_started_it(
    repo: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    airflow = tmp_path / "airflow.cfg"
    airflow.write_text("fernet_key = a key")
    paths = os.pathsep.join([str(PROJECT / "plugins"), *filter(None, sys.path)])

    done = subprocess.run(
        [sys.executable, "-P", "-c", ATTACK, str(repo), str(airflow)],
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found.pop("scratch"), found.pop("configuration")) == ("done", "done")
    missing = found.pop("missing")
    if "landlock" not in missing and "seccomp" not in missing:
        assert set(found.values()) == {"refused"}, found

"""What feature_store.yaml says is read without Feast, and what is wrong with it is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.feast.configuration import read_configuration
from feature_ops.feast.hook import secrets_in

PROJECT = Path(__file__).parents[3]
URL = "postgresql+psycopg://feast:pa$word@db:5432/feast"
SQL = "project: radio\nregistry:\n  registry_type: sql\n  path: ${FEAST_REGISTRY_URL}\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "feature_store.yaml").write_text(SQL)
    return tmp_path


def test_project_and_registry_are_read_with_variables_filled_in(repo: Path) -> None:
    configuration = read_configuration(repo, {"FEAST_REGISTRY_URL": URL})
    assert configuration.project == "radio"
    assert configuration.registry_url == URL
    assert configuration.lock_name == "feast:radio"


def test_the_product_own_configuration_is_read() -> None:
    environment = {"FEAST_REGISTRY_URL": URL, "FEAST_ONLINE_STORE": "valkey:6379"}
    assert read_configuration(PROJECT / "feature_repo", environment).project == "music"


@pytest.mark.parametrize(("text", "versioned"), [("", False), ("true", True), ("false", False)])
def test_it_is_read_whether_versions_of_a_view_have_rows_of_their_own(
    repo: Path, text: str, versioned: bool
) -> None:
    if text:
        setting = f"  enable_online_feature_view_versioning: {text}\n"
        (repo / "feature_store.yaml").write_text(SQL + setting)
    assert read_configuration(repo, {"FEAST_REGISTRY_URL": URL}).versions_online is versioned


def test_a_plain_postgresql_url_gets_feasts_driver(repo: Path) -> None:
    environment = {"FEAST_REGISTRY_URL": "postgresql://db/feast"}
    assert read_configuration(repo, environment).registry_url == "postgresql+psycopg://db/feast"


def test_a_variable_that_is_not_set_is_named(repo: Path) -> None:
    with pytest.raises(BadInputError, match=r"needs FEAST_REGISTRY_URL: set it in extra\.environment"):
        read_configuration(repo, {})


@pytest.mark.parametrize(
    "registry", ["registry.db", "{path: s3://bucket/registry.db}", "{registry_type: file, path: registry.db}"]
)
def test_a_registry_in_a_file_is_refused_with_the_remedy(repo: Path, registry: str) -> None:
    (repo / "feature_store.yaml").write_text(f"project: radio\nregistry: {registry}\n")
    with pytest.raises(BadInputError, match="last-write-wins.*registry_type: sql"):  # noqa: RUF043
        read_configuration(repo, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"feature_store\.yaml: set FEATURE_OPS_FEATURE_REPO"):
        read_configuration(tmp_path, {})


@pytest.mark.parametrize("content", ["", "- a list", "registry: x"])
def test_a_file_without_a_project_is_refused(repo: Path, content: str) -> None:
    (repo / "feature_store.yaml").write_text(content)
    with pytest.raises(BadInputError, match="names no project"):
        read_configuration(repo, {})


def test_what_is_not_yaml_is_refused_without_showing_its_secrets(repo: Path) -> None:
    with pytest.raises(BadInputError, match="line 4, is not YAML") as refusal:
        read_configuration(repo, {"FEAST_REGISTRY_URL": "a: b: s3cret"})
    assert "s3cret" not in str(refusal.value)


def test_reading_it_does_not_import_feast() -> None:
    code = """
import sys
from pathlib import Path
from feature_ops.feast.configuration import read_configuration
read_configuration(Path(sys.argv[1]), {"FEAST_REGISTRY_URL": "sqlite:///x", "FEAST_ONLINE_STORE": "x"})
print(*{"feast", "pandas", "pyarrow", "sqlalchemy"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code, str(PROJECT / "feature_repo")]
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_d10_passwords_inside_addresses_are_secrets_too() -> None:
    assert set(secrets_in("postgresql://feast:p%40ss@db/feast")) == {
        "postgresql://feast:p%40ss@db/feast",
        "p%40ss",
        "p@ss",
    }
    assert set(secrets_in("127.0.0.1:6379,db=0,password=w=rd")) >= {"w=rd"}

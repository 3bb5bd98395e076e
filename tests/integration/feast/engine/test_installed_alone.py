"""The wheel alone: Feast's commands use the engine with neither Airflow nor the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PathDistribution
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

PROJECT = Path(__file__).resolve().parents[4]

CONFIGURATION = """\
project: shop
provider: local
registry: registry.db
offline_store:
  type: file
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
batch_engine:
  type: feature_ops.feast.engine.ArrowEngine
"""

DEFINITIONS = """\
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)
source = FileSource(name="sales", path="sales.parquet", timestamp_field="event_timestamp")
sales = FeatureView(
    name="sales",
    entities=[shop],
    schema=[Field(name="shop_id", dtype=Int64), Field(name="amount", dtype=Float64)],
    source=source,
)
"""

# Feast's command, where the import of Airflow is an error.
FEAST = """
import sys
sys.modules["airflow"] = None
import feature_ops
assert feature_ops.__file__.startswith(sys.argv[1]), feature_ops.__file__
sys.argv = ["feast", *sys.argv[2:]]
from feast.cli.cli import cli
cli()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what it is made of."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source)
    shutil.copytree(PROJECT / "plugins", source / "plugins", ignore=shutil.ignore_patterns("*.egg-info"))
    built = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(built), str(source))
    (found,) = built.glob("feature_ops-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--target", str(folder), str(wheel))
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A feature repository as anybody may have it: two sales of the first shop, one of the second."""
    (tmp_path / "feature_store.yaml").write_text(CONFIGURATION)
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    days = [datetime(2024, 5, day, tzinfo=UTC) for day in (2, 1, 3)]
    rows = {"shop_id": [1, 1, 2], "amount": [2.5, 1.5, None], "event_timestamp": days}
    pq.write_table(pa.table(rows), tmp_path / "sales.parquet")
    return tmp_path


def pip(command: str, *arguments: str) -> None:
    quiet = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", command, *quiet, *arguments], check=True, cwd="/")


def feast(installed: Path, repository: Path, *arguments: str) -> str:
    """Run one of Feast's commands with the installed package alone; returns what it printed."""
    # The folder comes before the environment's own packages, where the source tree may be installed.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", FEAST, str(installed), *arguments]
    ran = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_feast_applies_and_materializes_with_the_installed_engine(installed: Path, shop: Path) -> None:
    feast(installed, shop, "apply")
    told = feast(installed, shop, "materialize", "2024-01-01T00:00:00", "2024-06-01T00:00:00")

    store = FeatureStore(repo_path=str(shop))
    answer = store.get_online_features(["sales:amount"], [{"shop_id": shop_id} for shop_id in (1, 2, 3)])
    assert answer.to_dict() == {"shop_id": [1, 2, 3], "amount": [2.5, None, None]}
    assert "is materialized by stock Feast" not in told


def test_the_script_for_valkey_is_in_the_wheel(installed: Path) -> None:
    source = PROJECT / "plugins/feature_ops/feast/engine"
    scripts = sorted(path.name for path in source.glob("*.lua"))

    assert scripts
    assert scripts == sorted(path.name for path in (installed / "feature_ops/feast/engine").glob("*.lua"))


def test_the_package_asks_for_airflow_in_its_extra_only(installed: Path) -> None:
    (folder,) = installed.glob("feature_ops-*.dist-info")
    wanted = PathDistribution(folder).requires or []

    always = [name for name in wanted if "extra ==" not in name]
    assert any(name.startswith("feast") for name in always)
    assert not [name for name in always if "airflow" in name]
    assert [name for name in wanted if name.startswith("apache-airflow") and "extra ==" in name]

"""What the tests of the service share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.model.serving_parts import FeatureRepository


@pytest.fixture(scope="session")
def feature_repository(tmp_path_factory: pytest.TempPathFactory) -> FeatureRepository:
    """A feature store that no test changes."""
    return FeatureRepository(tmp_path_factory.mktemp("features"))


@pytest.fixture
def own_feature_repository(tmp_path: Path) -> FeatureRepository:
    """A feature store that a test may change."""
    return FeatureRepository(tmp_path / "own-features")

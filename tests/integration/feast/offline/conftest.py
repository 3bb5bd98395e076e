"""A history in a file, and feature stores over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from feast import FeatureStore

from tests.integration.feast.offline.concerts import definitions, feature_store, row, write


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with all views applied; their history is in ``history.parquet``."""
    folder = tmp_path_factory.mktemp("radio")
    write(folder / "history.parquet", [row("a", 0, plays=1, part=1)])
    feature_store(folder, "file").apply(definitions(str(folder / "history.parquet")))
    return folder


@pytest.fixture(scope="module")
def store_of(place: Path) -> Callable[[str], FeatureStore]:
    """Gives the feature store with an offline store of some type."""
    stores: dict[str, FeatureStore] = {}

    def give(kind: str) -> FeatureStore:
        return stores.setdefault(kind, feature_store(place, kind))

    return give

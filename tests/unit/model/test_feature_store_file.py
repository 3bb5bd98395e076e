"""A training finds the feature store by a folder, or by its file alone, wherever that is."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from jukebox.errors import TrainingError
from jukebox.training_set import Features

CONFIGURATION = """\
project: music
provider: local
registry:
  registry_type: sql
  path: ${REGISTRY_FOR_TEST}
offline_store:
  type: file
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_FOR_TEST", f"sqlite:///{tmp_path}/registry.db")


def test_the_file_alone_is_enough() -> None:
    with fsspec.open("memory://run/feature_store.yaml", "w") as file:
        file.write(CONFIGURATION)

    with pytest.raises(TrainingError, match="there is no feature service 'serving_fs'"):
        Features("memory://run/feature_store.yaml").of_service("serving_fs")


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(
        TrainingError, match=r"memory://nowhere/feature_store\.yaml has no feature_store\.yaml"
    ):
        Features("memory://nowhere/feature_store.yaml")

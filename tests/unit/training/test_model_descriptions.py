"""MLflow shows what a registered model and each of its versions are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from feature_ops.training.model_registry import ModelRegistry
from feature_ops.training.result import TrainingResult

RESULT = TrainingResult(
    run_id="r",
    artifact_uri="s3://a",
    rows={"test": 40_000},
    features=["songs:energy", "songs:tempo"],
    metrics={},
    git_commit="[x](https://evil.example)",
    dataset_version="songs-1",
    definition_hash="h",
    seconds=1,
)


class ClientStandIn:
    """MLflow's client: remembers what is described."""

    def __init__(self, description: str | None, exists: bool) -> None:
        self.description, self.exists = description, exists
        self.version: dict[str, Any] = {}

    def create_registered_model(self, name: str) -> None:
        if self.exists:
            raise MlflowException("there is one", error_code=3001)  # RESOURCE_ALREADY_EXISTS

    def get_registered_model(self, name: str) -> Any:
        return SimpleNamespace(description=self.description)

    def update_registered_model(self, name: str, description: str) -> None:
        self.description = description

    def search_model_versions(self, query: str) -> list[Any]:
        return []

    def create_model_version(self, name: str, **facts: Any) -> Any:
        self.version = facts
        return SimpleNamespace(version=1)


@pytest.mark.parametrize(
    ("before", "after"), [(None, "Predicts countries"), ("", "Predicts countries"), ("A user's", "A user's")]
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_model_is_described_unless_a_user_has_described_it(
    before: str | None, after: str, exists: bool
) -> None:
    client = ClientStandIn(before, exists)
    registry = ModelRegistry("http://mlflow", "jukebox")
    registry.__dict__["_client"] = client
    assert registry.register(RESULT, "serving_fs", "c", "s3://x", description="Predicts countries") == "1"
    assert client.description == after
    assert client.version["description"] == (
        "Commit `[x](https:`, data version `songs-1`. 2 features of `serving_fs`; held out: 40,000 rows."
    )

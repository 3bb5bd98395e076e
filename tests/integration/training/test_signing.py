"""A model that is registered and signed is downloaded from MLflow and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from feature_ops.model_signature import ModelVerifier
from feature_ops.training.model_registry import ModelRegistry
from feature_ops.training.signing import SignedVersions
from tests.unit.model.signed_models import key_pair
from tests.unit.training.test_signing import MODEL, TRAINED, URI, Store, result


def test_what_mlflow_gives_out_of_a_signed_version_is_verified(
    mlflow_database: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(tracking_uri=mlflow_database, registry_uri=mlflow_database)
    experiment = client.create_experiment("toy", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment).info
    files = tmp_path / "model" / "code"
    files.mkdir(parents=True)
    (files / "loader.py").write_text("x = 1")
    (files.parent / "model.onnx").write_bytes(b"weights")
    client.log_artifacts(run.run_id, str(files.parent), "model")

    registry = ModelRegistry(mlflow_database, "toy")
    told = result(run_id=run.run_id, artifact_uri=f"{run.artifact_uri}/model")
    version = registry.register(told, "toy_fs", code_hash="c", result_uri=URI)
    private, public = key_pair(tmp_path, "own")
    signatures: Any = SignedVersions(registry, Store(), MODEL, private, "s3://data/_signatures/")  # type: ignore[arg-type]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    signatures.sign(version, told, TRAINED, scratch)

    mlflow.set_tracking_uri(mlflow_database)
    folder = mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/toy/{version}", dst_path=str(tmp_path / "served")
    )
    assert ModelVerifier(public).verify(Path(folder), "toy", version).commit == "a" * 40

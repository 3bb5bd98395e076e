"""A registered version is signed once, for the training that it belongs to, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from feature_ops.exceptions import BadInputError
from feature_ops.model_signature import SIGNATURE_FILE, ModelVerifier
from feature_ops.provenance import STATEMENT_FILE
from feature_ops.settings import Settings, get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.model_registry import ModelRegistry, ModelVersion
from feature_ops.training.operators import RegisterOperator
from feature_ops.training.plan import TrainingPlan, training_environment
from feature_ops.training.recipe import Recipe
from feature_ops.training.result import TrainingResult
from feature_ops.training.signing import SignedVersions
from tests.unit.model.signed_models import key_pair

MODEL = Model(name="toy", feature_service="toy_fs", command=("x",))
URI = "s3://data/_training/toy/run/x.json"
PLAN = TrainingPlan(
    "a" * 40, Recipe("b" * 64, "c" * 64), "forced", "d" * 64, URI, environment={"image": "registry/toy:1"}
)


def result(**changes: Any) -> TrainingResult:
    facts: dict[str, Any] = {
        "run_id": "r1",
        "artifact_uri": "mlflow-artifacts:/1/r1/artifacts/model",
        "rows": {},
        "features": [],
        "metrics": {},
        "git_commit": PLAN.commit,
        "dataset_version": PLAN.dataset_version,
        "definition_hash": PLAN.recipe.definition_hash,
        "seconds": 1,
    }
    return TrainingResult.model_validate({**facts, **changes})


TRAINED = PLAN.outcome(result()).facts


class Client:
    """MLflow's client on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "model" / "code").mkdir(parents=True)
        (folder / "model" / "model.onnx").write_bytes(b"weights")
        (folder / "model" / "code" / "loader.py").write_text("x = 1")

    def get_run(self, run_id: str) -> Any:
        if run_id == "missing":
            raise MlflowException("not found", error_code=RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=f"mlflow-artifacts:/1/{run_id}/artifacts"))

    def download_artifacts(self, run_id: str, path: str, target: str) -> str:
        return str(shutil.copytree(self.folder / path, Path(target) / path, dirs_exist_ok=True))

    def log_artifact(self, run_id: str, file: str, path: str | None) -> None:
        shutil.copy(file, self.folder / (path or ""))


class Store:
    """An object store in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_bytes(self, uri: str) -> tuple[bytes, str] | None:
        return (self.objects[uri], "v") if uri in self.objects else None

    def replace_bytes(self, content: bytes, uri: str, version: str | None) -> bool:
        return self.objects.setdefault(uri, content) is content


class Place:
    """A registry, a store and a key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.client, self.store = folder, Client(folder / "run"), Store()
        self.private, self.public = key_pair(folder, "own")
        self.registry = ModelRegistry("http://mlflow", "toy")
        self.registry.__dict__["_client"] = self.client
        self.owner = URI
        self.registry.by_number = lambda version: ModelVersion(  # type: ignore[method-assign]
            version, "", "", PLAN.recipe, (), "r1", self.owner
        )
        self._tries = 0

    @property
    def files(self) -> Path:
        return self.client.folder / "model"

    def sign(self, version: str = "1", told: TrainingResult | None = None, **trained: Any) -> None:
        self._tries += 1
        scratch = self.folder / f"try-{self._tries}"
        scratch.mkdir()
        signatures: Any = SignedVersions(self.registry, self.store, MODEL, self.private, "s3://data/_sig/")  # type: ignore[arg-type]
        signatures.sign(version, told or result(), {**TRAINED, **trained}, scratch)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_statement_and_signature_are_put_next_to_the_model(place: Place) -> None:
    place.sign()
    found = ModelVerifier(place.public).verify(place.files, "toy", "1")
    assert (found.commit, found.dataset_version) == (PLAN.commit, PLAN.dataset_version)
    assert (found.definition_hash, found.code_hash) == ("b" * 64, "c" * 64)
    assert (found.environment, found.invocation) == ({"image": "registry/toy:1"}, URI)
    assert sorted(file.name for file in place.files.iterdir()) == [
        "code",
        "model.onnx",
        SIGNATURE_FILE,
        STATEMENT_FILE,
    ]


def test_a_retry_publishes_the_same_signature(place: Place) -> None:
    place.sign()
    first = (place.files / SIGNATURE_FILE).read_bytes()
    (place.files / SIGNATURE_FILE).unlink()
    place.sign()
    assert (place.files / SIGNATURE_FILE).read_bytes() == first


def test_of_two_tries_at_the_same_time_one_signature_counts(place: Place) -> None:
    other = Place(place.folder / "other")
    other.sign()
    kept = dict(other.store.objects)
    looked: list[str] = []

    def get_bytes(uri: str) -> tuple[bytes, str] | None:
        looked.append(uri)
        return None if len(looked) == 1 else (kept[uri], "v")

    place.store.objects = kept
    place.store.get_bytes = get_bytes  # type: ignore[method-assign]
    place.sign()
    assert (place.files / SIGNATURE_FILE).read_bytes() == (other.files / SIGNATURE_FILE).read_bytes()


def test_files_that_were_replaced_since_are_not_signed_again(place: Place) -> None:
    place.sign()
    (place.files / "model.onnx").write_bytes(b"evil")
    with pytest.raises(
        BadInputError, match=r"version 1 of toy was signed with other files \(s3://data/_sig/toy/1"
    ):
        place.sign()


def test_a_forged_signature_in_mlflow_is_replaced(place: Place) -> None:
    (place.files / SIGNATURE_FILE).write_text("forged")
    (place.files / STATEMENT_FILE).write_text("forged")
    place.sign()
    assert ModelVerifier(place.public).verify(place.files)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"git_commit": "f" * 40}, "reports commit 'fff.*was started for 'aaa"),
        ({"dataset_version": "other"}, "reports data version 'other'"),
        ({"definition_hash": "other"}, "reports definition hash 'other'"),
        ({"artifact_uri": "s3://elsewhere/model"}, "outside of its MLflow run r1"),
        ({"run_id": "missing"}, "reports the MLflow run 'missing', which does not exist"),
        ({"artifact_uri": "/etc"}, "outside of its MLflow run r1"),
        (
            {"artifact_uri": "mlflow-artifacts:/1/r1/artifacts/../../r2/artifacts/model"},
            "outside of its MLflow run",
        ),
        ({"artifact_uri": "mlflow-artifacts:/1/r1/artifacts-of-others/model"}, "outside of its MLflow run"),
        ({"artifact_uri": "mlflow-artifacts:/1/r2/artifacts/model"}, "outside of its MLflow run r1"),
    ],
)
def test_a_training_that_reports_something_else_is_not_signed(
    place: Place, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(BadInputError, match=reason):
        place.sign(told=result(**changes))
    assert place.store.objects == {}
    assert not (place.files / SIGNATURE_FILE).exists()


def test_the_version_of_another_training_is_not_signed(place: Place) -> None:
    """A training that reports the run of the champion gets the champion's version back."""
    place.owner = "s3://data/_training/toy/earlier/x.json"
    with pytest.raises(
        BadInputError, match=r"version 1 of toy belongs to another training.*a run of its own"
    ):
        place.sign()


def test_a_result_of_an_older_release_names_what_to_clear(place: Place) -> None:
    signatures: Any = SignedVersions(place.registry, place.store, MODEL, place.private, "s3://data/_sig/")  # type: ignore[arg-type]
    old = {name: value for name, value in TRAINED.items() if name != "environment"}
    with pytest.raises(BadInputError, match="lacks environment, which is signed: clear `retrain`"):
        signatures.sign("1", result(), old, place.folder / "x")


def test_a_symbolic_link_among_the_files_is_refused(place: Place) -> None:
    (place.files / "link").symlink_to("/etc/passwd")
    place.client.download_artifacts = (  # type: ignore[method-assign]
        lambda run, path, target: str(
            shutil.copytree(place.client.folder / path, Path(target) / path, symlinks=True)
        )
    )
    with pytest.raises(BadInputError, match="link is not a regular file"):
        place.sign()


@pytest.mark.parametrize(("mode", "content"), [(0o644, None), (0o600, b"no key")])
def test_a_key_that_cannot_be_used_is_named(place: Place, mode: int, content: bytes | None) -> None:
    if content:
        place.private.write_bytes(content)
    place.private.chmod(mode)
    with pytest.raises(BadInputError, match=str(place.private)):
        place.sign()
    assert place.store.objects == {}


def test_the_environment_is_the_image_of_a_pod_or_the_lock_file_of_the_commit() -> None:
    code = {"requirements.txt": "e" * 40, "train.py": "f" * 40}
    pod = Settings(training_place="pod", training_image="registry/toy:{commit}")
    assert training_environment(pod, MODEL, "abc", code) == {"image": "registry/toy:abc"}
    process = Settings(training_place="process")
    assert training_environment(process, MODEL, "abc", code) == {
        "lock_file": "model/requirements.txt",
        "git_blob": "e" * 40,
    }
    assert training_environment(process, MODEL, "abc", {}) == {}


def test_a_plan_keeps_its_environment_while_a_pod_runs() -> None:
    assert TrainingPlan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN


@pytest.mark.parametrize("is_on", [True, False])
def test_register_signs_if_a_key_is_set(place: Place, monkeypatch: pytest.MonkeyPatch, is_on: bool) -> None:
    monkeypatch.setenv("FEATURE_OPS_MODEL_SIGNING_KEY", str(place.private) if is_on else "")
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(place.folder))
    monkeypatch.setattr("feature_ops.feast.hook.FeastHook", lambda: SimpleNamespace(object_store=place.store))
    monkeypatch.setattr(place.registry, "register", lambda *values, **facts: "1")
    operator = RegisterOperator(task_id="register", model=MODEL, evaluated=TRAINED)
    monkeypatch.setattr(operator, "registry", lambda: place.registry)
    monkeypatch.setattr(operator, "result", lambda uri: result())
    monkeypatch.setattr(operator, "refuse_superseded", lambda facts: None)
    get_settings.cache_clear()
    try:
        assert operator.reconcile({}).facts["version"] == "1"
    finally:
        get_settings.cache_clear()
    assert (place.files / SIGNATURE_FILE).exists() is is_on
    if is_on:
        assert ModelVerifier(place.public).verify(place.files, "toy", "1").commit == PLAN.commit

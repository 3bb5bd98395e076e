"""A training ends as a model in MLflow and a result that can be judged, or as one line that tells why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from demo.rankings import rankings
from demo.servers import Servers
from demo.songs import catalogue
from feature_ops.settings import Settings
from feature_ops.training.result import TrainingResult
from jukebox.__main__ import main
from jukebox.onnx_export import Graph
from jukebox.training_set import Features
from tests.integration.model.feature_repository import (
    FEATURES,
    SERVICE,
    VIEW,
    FeatureRepository,
    history_rows,
)

WITHOUT_LOUDNESS = tuple(name for name in FEATURES if name != "loudness")


@dataclass
class Place:
    """A feature repository, its history, rankings, and an MLflow in SQLite."""

    folder: Path
    repository: FeatureRepository
    mlflow: MlflowClient

    @property
    def rankings(self) -> Path:
        return self.folder / "rankings.parquet"

    def arguments(self, **changes: str) -> list[str]:
        """Return the command line; a change to "" leaves an argument out."""
        arguments = {
            "feature-repo": str(self.repository.folder),
            "feature-service": SERVICE,
            "revision": "0123456789abcdef",
            "rankings": str(self.rankings),
            "dataset-version": "songs-1",
            "definition-hash": "hash-1",
            "result": str(self.folder / "result.json"),
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        return ["train", *(f"--{name}={value}" for name, value in arguments.items() if value)]

    def train(self, **changes: str) -> TrainingResult:
        """Train, and read the result as the DAG does."""
        assert main(self.arguments(**changes)) == 0
        return TrainingResult.read((self.folder / "result.json").read_text(), "result.json")

    def runs(self) -> int:
        """Count the runs that MLflow knows."""
        experiment = self.mlflow.get_experiment_by_name("jukebox")
        return 0 if experiment is None else len(self.mlflow.search_runs([experiment.experiment_id]))

    def register(self, result: TrainingResult, name: str) -> str:
        """Make a result the champion of that name; returns its URI."""
        self.mlflow.create_registered_model(name)
        version = self.mlflow.create_model_version(name, result.artifact_uri, result.run_id)
        self.mlflow.set_registered_model_alias(name, "champion", version.version)
        return f"models:/{name}@champion"


@pytest.fixture(scope="module")
def songs() -> pd.DataFrame:
    """Some of the catalogue: each song is known with its first day."""
    return catalogue().sample(600, random_state=1).reset_index(drop=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, songs: pd.DataFrame) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("training")
    (folder / "history").mkdir()
    history_rows(songs).to_parquet(folder / "history" / "songs.parquet")
    rankings(songs, rows=20_000).to_parquet(folder / "rankings.parquet")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield Place(folder, FeatureRepository(folder / "repo", str(folder / "history")), MlflowClient())


@pytest.fixture(autouse=True)
def all_features(place: Place) -> None:
    """Each test begins with all features in view and service, and no result."""
    place.repository.apply(tuple(FEATURES))
    (place.folder / "result.json").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def first(place: Place) -> TrainingResult:
    """A model on all features."""
    place.repository.apply(tuple(FEATURES))
    return place.train(champion="models:/nobody@champion")


def files(result: TrainingResult, part: str = "") -> Path:
    return Path(download_artifacts(artifact_uri=result.artifact_uri)) / part


def test_a_training_ends_as_a_run_with_its_measures_and_registers_nothing(
    place: Place, first: TrainingResult
) -> None:
    assert first.features == [f"{VIEW}:{name}" for name in FEATURES]
    assert first.rows["train"] > first.rows["test"] > 2000
    assert first.champion is None
    assert first.comparison is None
    run = place.mlflow.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert {name: pytest.approx(value) for name, value in first.metrics.items()} == run.data.metrics
    assert run.data.tags["git_commit"] == first.git_commit == "0123456789abcdef"
    assert json.loads(run.data.tags["features"]) == first.features
    there = {
        file.path for at in (None, "model", "plots") for file in place.mlflow.list_artifacts(first.run_id, at)
    }
    assert there >= {
        *("model/model.onnx", "model/model.json", "model/requirements.txt", "model/MLmodel", "countries.csv"),
        *("plots/confusion.png", "plots/reliability.png", "plots/feature_importance.png"),
    }
    assert not place.mlflow.search_registered_models("name = 'jukebox'")
    with pytest.raises(MlflowException):
        place.mlflow.get_registered_model("nobody")


def test_the_model_learned_something_about_73_countries(first: TrainingResult) -> None:
    # By chance 1 of 73 countries is right, and 5 of 73 are among the first five.
    assert first.metrics["top1"] > 3 / 73
    assert first.metrics["top5"] > 3 * 5 / 73
    assert first.metrics["log_loss"] < np.log(73) - 0.15
    table = pd.read_csv(files(first).parent / "countries.csv", keep_default_na=False)
    assert len(table) > 60
    assert table["rows"].sum() == first.rows["test"]


def test_the_model_is_told_with_types_origin_and_a_self_test(first: TrainingResult) -> None:
    told: dict[str, Any] = json.loads(files(first, "model.json").read_text())
    assert told["format"] == 1
    assert told["features"][0] == {"ref": f"{VIEW}:is_explicit", "name": "is_explicit", "type": "Bool"}
    assert {one["name"]: one["type"] for one in told["features"]}["key"] == "Int64"
    assert len(told["classes"]) > 65
    assert told["classes"] == sorted(told["classes"])
    assert told["git_commit"] == "0123456789abcdef"
    assert told["dataset_version"] == "songs-1"
    assert told["definition_hash"] == "hash-1"
    assert told["service"] == SERVICE
    graph = Graph(files(first, "model.onnx").read_bytes())
    inputs = np.array([[told["self_test"]["inputs"][one["name"]] for one in told["features"]]])
    chances = [told["self_test"]["probabilities"][country] for country in told["classes"]]
    np.testing.assert_allclose(graph.probabilities(inputs)[0], chances, atol=1e-6)
    assert sum(chances) == pytest.approx(1, abs=1e-5)


def test_mlflow_itself_loads_and_serves_the_model(first: TrainingResult) -> None:
    import mlflow.pyfunc
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    told = json.loads(files(first, "model.json").read_text())
    chances = [told["self_test"]["probabilities"][country] for country in told["classes"]]
    model = mlflow.pyfunc.load_model(first.artifact_uri)
    assert model.metadata.get_input_schema().input_names() == [one["name"] for one in told["features"]]
    assert model.metadata.get_output_schema().input_names() == told["classes"]
    example = model.input_example
    found = model.predict(example)
    assert list(found.columns) == told["classes"]
    np.testing.assert_allclose(found.iloc[0], chances, atol=1e-6)

    # Columns as pandas, Feast and JSON have them; a null value and a missing column are a missing feature.
    natural = example.assign(key=5, is_explicit=True)
    expected = model.predict(example.assign(key=5.0, is_explicit=1.0))
    np.testing.assert_allclose(model.predict(natural), expected, atol=1e-6)
    without = model.predict(example.drop(columns="key"))
    for missing in (np.nan, None, pd.NA):
        np.testing.assert_allclose(model.predict(example.assign(key=missing)), without, atol=1e-6)

    with TestClient(scoring_server.init(model)) as server:
        request = files(first, "serving_input_example.json").read_bytes()
        answer = server.post("/invocations", content=request, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["predictions"]
    np.testing.assert_allclose([row[country] for country in told["classes"]], chances, atol=1e-6)


def test_mlflow_shows_a_classical_experiment_with_descriptions_and_the_data_version(
    place: Place, first: TrainingResult
) -> None:
    experiment = place.mlflow.get_experiment_by_name("jukebox")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "Continuous training" in experiment.tags["mlflow.note.content"]
    run = place.mlflow.get_run(first.run_id)
    assert "data version `songs-1`, the first model" in run.data.tags["mlflow.note.content"]
    (logged,) = run.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == (f"features of {SERVICE}", "songs-1")
    columns = json.loads(logged.dataset.schema or "")["mlflow_colspec"]
    assert [column["name"] for column in columns] == list(FEATURES)
    assert json.loads(logged.dataset.profile or "") == {"num_rows": sum(first.rows.values())}


def test_kind_and_description_that_a_user_set_in_mlflow_are_kept(place: Place, first: TrainingResult) -> None:
    from mlflow.entities import Experiment

    from jukebox.tracking import _describe_experiment

    experiment_id = place.mlflow.create_experiment("by a user")
    place.mlflow.set_experiment_tag(experiment_id, "mlflow.note.content", "Mine")
    found: Experiment = place.mlflow.get_experiment(experiment_id)
    _describe_experiment(found)
    tags = place.mlflow.get_experiment(experiment_id).tags
    assert tags["mlflow.note.content"] == "Mine"
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_same_training_gives_the_same_model(place: Place, first: TrainingResult) -> None:
    again = place.train()
    assert again.metrics == first.metrics
    assert files(again, "model.onnx").read_bytes() == files(first, "model.onnx").read_bytes()


def test_without_loudness_it_is_compared_with_the_champion_on_the_same_rows(
    place: Place, first: TrainingResult
) -> None:
    champion = place.register(first, "louder")
    place.repository.apply(WITHOUT_LOUDNESS)
    second = place.train(champion=champion)
    assert second.features == [f"{VIEW}:{name}" for name in WITHOUT_LOUDNESS]
    assert second.champion is not None
    assert second.champion.version == "1"
    # The same rows as when it was trained, with the loudness that the service no longer gives.
    expected = {name: first.metrics[name] for name in second.champion.metrics}
    assert second.champion.metrics == pytest.approx(expected, abs=1e-6)
    assert second.comparison is not None
    for name, interval in second.comparison.items():
        assert interval.low < interval.difference < interval.high
        assert interval.difference == pytest.approx(second.metrics[name] - first.metrics[name], abs=1e-6)
    assert second.countries["worst"].champion_recall5 is not None


def test_a_champion_whose_feature_is_gone_answers_as_if_it_were_missing(
    place: Place, first: TrainingResult, caplog: pytest.LogCaptureFixture
) -> None:
    champion = place.register(first, "orphan")
    without_energy = tuple(name for name in FEATURES if name != "energy")
    place.repository.apply(without_energy, without_energy)
    second = place.train(champion=champion)
    assert f"the champion lacks ['{VIEW}:energy']" in caplog.text
    assert second.champion is not None
    assert second.champion.metrics["log_loss"] > first.metrics["log_loss"]


def test_features_are_those_that_were_known_on_the_day(place: Place, tmp_path: Path) -> None:
    history = tmp_path / "history"
    history.mkdir()
    versions = pd.DataFrame(
        {
            "spotify_id": ["one", "one", "one"],
            **{name: [0, 0, 0] for name in FEATURES},
            "energy": [0.1, 0.2, 0.3],
            # Two versions of one day: the later ingested counts.
            "event_timestamp": pd.to_datetime(["2024-01-10", "2024-01-20", "2024-01-20"]),
        }
    )
    rows = history_rows(versions).assign(is_explicit=False)
    rows.loc[2, "ingested_at"] += pd.Timedelta(days=1)
    rows.to_parquet(history / "songs.parquet")
    repository = FeatureRepository(tmp_path / "repo", str(history))
    repository.apply(("energy",))
    asked = pd.DataFrame(
        {
            "spotify_id": ["one", "other", "one", "one", "one", "one"],
            "snapshot_date": pd.to_datetime(
                ["2024-02-01", "2024-02-01", "2024-01-01", "2024-01-10", "2024-01-19", "2024-02-01"], utc=True
            ),
        }
    )
    found = Features(str(repository.folder)).as_of(asked, SERVICE, [f"{VIEW}:energy"])[:, 0]
    np.testing.assert_allclose(found, [0.3, np.nan, np.nan, 0.1, 0.1, 0.3], rtol=1e-6)


def write_rankings(place: Place, **columns: Any) -> str:
    uri = place.folder / "other.parquet"
    pd.read_parquet(place.rankings).assign(**columns).to_parquet(uri)
    return str(uri)


def failure(place: Place, capsys: pytest.CaptureFixture[str], code: int = 65, **changes: str) -> str:
    """Train in vain; returns the line that tells why. Nothing may be left behind."""
    before = place.runs()
    assert main(place.arguments(**changes)) == code
    assert not (place.folder / "result.json").exists()
    assert place.runs() == before
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    return lines[-1]


def test_a_feature_that_the_history_lacks_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.repository.apply(("energy", "sparkle"), ("energy", "sparkle"))
    assert "the history lacks a column that is a feature" in (told := failure(place, capsys))
    assert "sparkle" in told


def test_an_unknown_service_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no feature service 'other_fs'" in failure(place, capsys, feature_service="other_fs")


def test_rankings_of_songs_that_nobody_knew_on_their_day_are_told(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    early = write_rankings(place, snapshot_date=pd.Timestamp("2020-01-01", tz="UTC"))
    assert "on or before the day of its ranking" in failure(place, capsys, rankings=early)


def test_rankings_of_one_country_are_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_rankings(place, country="AR")
    assert "has rankings of AR only" in failure(place, capsys, rankings=one)


def test_a_champion_that_can_not_be_read_is_told(
    place: Place, first: TrainingResult, capsys: pytest.CaptureFixture[str]
) -> None:
    champion = place.register(first, "broken")
    broken = place.folder / "broken"
    broken.mkdir()
    (broken / "model.json").write_text("{}")
    version = place.mlflow.create_model_version("broken", str(broken), run_id=None)
    place.mlflow.set_registered_model_alias("broken", "champion", version.version)
    assert "model.json of version 2 of broken is no description" in failure(place, capsys, champion=champion)
    (broken / "model.json").unlink()
    assert "version 2 of broken can't be loaded" in failure(place, capsys, champion=champion)
    broken.rmdir()
    assert "can't be read from" in failure(place, capsys, code=1, champion=champion)


def test_no_mlflow_server_is_told(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", "")
        assert main(place.arguments()) == 65
    assert "set MLFLOW_TRACKING_URI" in capsys.readouterr().err
    assert not (place.folder / "result.json").exists()


def test_history_rankings_and_result_may_be_on_object_storage(
    place: Place, servers: Servers, storage: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    bucket = storage.storage_uri
    store = servers.object_store
    files = S3FileSystem(
        key=store.access_key,
        secret=store.secret_key,
        endpoint_url=store.endpoint_url,
        use_listings_cache=False,
    )
    files.put(str(place.folder / "history" / "songs.parquet"), f"{bucket}/song_properties/songs.parquet")
    files.put(str(place.rankings), f"{bucket}/song_rankings/rankings.parquet")
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    repository = FeatureRepository(tmp_path / "repo", f"{bucket}/song_properties/")
    repository.apply(WITHOUT_LOUDNESS)
    arguments = place.arguments(
        feature_repo=str(repository.folder),
        rankings=f"{bucket}/song_rankings/rankings.parquet",
        result=f"{bucket}/results/one.json",
    )
    assert main(arguments) == 0
    result = TrainingResult.read(files.cat(f"{bucket}/results/one.json"), "one.json")
    assert result.features == [f"{VIEW}:{name}" for name in WITHOUT_LOUDNESS]

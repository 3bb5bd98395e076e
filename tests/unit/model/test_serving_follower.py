"""The right model answers, and a good one is never given up for a bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jukebox.serving.follower import Follower
from jukebox.serving.kept import KeptModels
from jukebox.serving.metrics import Metrics
from jukebox.serving.problems import UnavailableError
from tests.unit.model.serving_parts import COUNTRIES, FEATURES, REFS, FeatureRepository, Shelf, write_model

WRONG_TEST = {
    "self_test": {
        "inputs": dict.fromkeys(FEATURES, 1),
        "probabilities": dict.fromkeys(COUNTRIES, 0.25),
    }
}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf()
    shelf.put("1", write_model(tmp_path / "one"))
    return shelf


def follower(shelf: Shelf, repository: FeatureRepository, tmp_path: Path, **options: Any) -> Follower:
    return Follower(
        "test",
        shelf,
        repository.folder,
        KeptModels(tmp_path / "state"),
        Metrics(),
        definitions_every=0,
        **options,
    )


def answering(follower: Follower) -> str | None:
    """Return which version answers, having let it answer."""
    if follower.serving is None:
        return None
    assert follower.serving.reader.read(["full"])[0] is not None
    return follower.serving.version


def test_answers_with_the_version_that_has_the_alias(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    assert answering(following) == "1"
    shelf.put("2", write_model(tmp_path / "two", seed=2))
    following.look()
    assert answering(following) == "2"
    shelf.aliases["test"] = "1"
    following.look()
    assert answering(following) == "1"
    assert not following.troubles


def test_without_an_alias_nothing_answers_and_it_says_so(
    feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(Shelf(), feature_repository, tmp_path)
    following.look()
    assert following.serving is None
    assert following.troubles["model"] == "no model has the alias test yet"


def test_a_missing_alias_is_reported_while_the_model_that_had_it_goes_on(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    assert following.alias_missing is None
    following.look()
    assert following.alias_missing is False
    assert alias_gauge(following) == 0

    version = shelf.aliases.pop("test")
    following.look()
    assert answering(following) == "1"
    assert following.alias_missing is True
    assert alias_gauge(following) == 1
    assert following.troubles["alias"].startswith("no model has the alias test any more: set it in MLflow")

    shelf.aliases["test"] = version
    following.look()
    assert (following.alias_missing, alias_gauge(following), following.troubles) == (False, 0, {})


def alias_gauge(following: Follower) -> float:
    text = following._metrics.exposition().decode()
    return float(text.split('jukebox_alias_missing{alias="test"} ')[1].split("\n")[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(WRONG_TEST, "failed its self-test", id="answers otherwise"),
        pytest.param({"format": 2}, "format 1", id="unknown format"),
        pytest.param({"classes": ["KR"]}, "does not fit", id="other classes"),
        pytest.param({"self_test": None}, "not complete", id="no self-test"),
        pytest.param(
            {"features": [{"ref": "song_properties:energy", "name": "energy", "type": "Float32"}]},
            "self-test",
            id="other inputs",
        ),
    ],
)
def test_a_bad_model_is_refused_with_the_reason_and_the_old_one_stays(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    shelf.put("2", write_model(tmp_path / "two", **changes))
    following.look()
    following.look()
    assert answering(following) == "1"
    assert following.refused is not None
    assert following.refused.version == "2"
    assert reason in following.refused.reason
    assert shelf.downloads == ["1", "2"], "a refused version is not tried over and over"


def test_a_file_that_is_no_model_is_refused(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    broken = write_model(tmp_path / "two")
    (broken / "model.onnx").write_bytes(b"not a model")
    shelf.put("2", broken)
    following.look()
    assert answering(following) == "1"
    assert following.refused is not None
    assert "ONNX Runtime can't load it" in following.refused.reason


def test_the_old_model_stays_after_a_restart_too(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    follower(shelf, feature_repository, tmp_path).look()
    shelf.put("2", write_model(tmp_path / "two", **WRONG_TEST))
    restarted = follower(shelf, feature_repository, tmp_path)
    restarted.look()
    assert answering(restarted) == "1"
    assert restarted.refused is not None
    assert restarted.refused.version == "2"


def test_a_good_model_ends_a_refusal(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    shelf.put("2", write_model(tmp_path / "two", **WRONG_TEST))
    following.look()
    shelf.put("3", write_model(tmp_path / "three"))
    following.look()
    assert answering(following) == "3"
    assert following.refused is None


def test_keeps_answering_and_starts_while_the_model_registry_is_away(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    shelf.away = True
    following.look()
    assert answering(following) == "1"
    assert following.troubles["model"] == "MLflow does not answer"
    restarted = follower(shelf, feature_repository, tmp_path)
    restarted.look()
    assert answering(restarted) == "1"


def test_keeps_answering_and_starts_while_the_feature_registry_is_away(
    shelf: Shelf, own_feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, own_feature_repository, tmp_path)
    following.look()
    (own_feature_repository.folder / "registry.db").write_bytes(b"\xff nothing that could be read")
    following.look()
    assert answering(following) == "1"
    assert "feature registry can't be read" in following.troubles["definitions"]
    restarted = follower(shelf, own_feature_repository, tmp_path)
    restarted.look()
    assert answering(restarted) == "1"


def test_definitions_that_lack_what_the_model_asks_for_do_not_reach_it(
    shelf: Shelf, own_feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, own_feature_repository, tmp_path)
    following.look()
    own_feature_repository.define(["energy", "key"])
    following.look()
    assert answering(following) == "1"
    assert "no feature song_properties:loudness" in following.troubles["definitions"]
    # A model that does without takes the new ones.
    shelf.put("2", write_model(tmp_path / "two", refs=[REFS[0], REFS[2]]))
    following.look()
    assert answering(following) == "2"
    assert not following.troubles


def test_a_model_whose_features_are_not_there_is_refused(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    shelf.put("2", write_model(tmp_path / "two", refs=["song_properties:colour"]))
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    assert following.serving is None
    assert following.refused is not None
    assert following.refused.reason == "the feature store has no feature song_properties:colour"


def test_new_definitions_are_taken_while_the_model_stays(
    shelf: Shelf, own_feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, own_feature_repository, tmp_path)
    following.look()
    assert following.serving is not None
    before = following.serving
    own_feature_repository.define(["energy", "loudness", "key", "tempo"])
    following.look()
    assert following.serving.model is before.model
    assert following.serving.kept.definitions != before.kept.definitions
    assert before.reader.read(["full"]), "a request that began before still gets its answer"
    restarted = follower(shelf, own_feature_repository, tmp_path)
    shelf.away = True
    restarted.look()
    assert answering(restarted) == "1"


def test_what_nobody_thought_of_does_not_end_the_following(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    monkeypatch.setattr(shelf, "version", lambda alias: 1 / 0)
    following.look()
    assert answering(following) == "1"
    assert "ZeroDivisionError" in following.troubles["model"]


def test_a_download_that_breaks_off_is_tried_again_and_leaves_nothing(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follower(shelf, feature_repository, tmp_path)
    following.look()
    shelf.put("2", write_model(tmp_path / "two"))

    def break_off(version: str, folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"half")
        raise UnavailableError("cut")

    with monkeypatch.context() as patched:
        patched.setattr(shelf, "download", break_off)
        following.look()
    assert answering(following) == "1"
    assert len(list((tmp_path / "state").glob("model-*"))) == 1
    following.look()
    assert answering(following) == "2"
    assert len(list((tmp_path / "state").glob("model-*"))) == 1, "what answered before is not kept"


def test_a_model_waits_for_the_feature_registry_and_is_downloaded_once(
    shelf: Shelf, own_feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    following = follower(shelf, own_feature_repository, tmp_path)
    registry = own_feature_repository.folder / "registry.db"
    content = registry.read_bytes()
    registry.write_bytes(b"\xff nothing that could be read")
    following.look()
    following.look()
    assert following.serving is None
    assert following.refused is None
    assert "feature registry can't be read" in following.troubles["model"]
    registry.write_bytes(content)
    following.look()
    assert answering(following) == "1"
    assert shelf.downloads == ["1"]


def test_two_instances_can_not_keep_their_models_in_one_folder(tmp_path: Path) -> None:
    first = KeptModels(tmp_path)
    first.claim()
    with pytest.raises(OSError, match="give each one its own --state"):
        KeptModels(tmp_path).claim()

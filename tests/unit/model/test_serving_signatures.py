"""With a key, the service loads only models that are signed as the version that they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_ops.model_signature import ModelSignatureError
from jukebox.__main__ import _parser
from jukebox.serving import app
from jukebox.serving.follower import Follower
from jukebox.serving.kept import KeptModels
from jukebox.serving.metrics import Metrics
from jukebox.serving.signatures import RequiredSignatures, Signatures
from tests.unit.model.serving_parts import FeatureRepository, Shelf, write_model
from tests.unit.model.signed_models import key_pair, signed

SERVE = ["serve", "--alias=test", "--feature-repo=x", "--port=1"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"), "own")


@pytest.fixture
def shelf(tmp_path: Path, keys: tuple[Path, Path]) -> Shelf:
    shelf = Shelf()
    shelf.put("1", signed(write_model(tmp_path / "one"), keys[0], "1"))
    return shelf


def follower(
    shelf: Shelf, repository: FeatureRepository, tmp_path: Path, signatures: Signatures | None
) -> Follower:
    kept = KeptModels(tmp_path / "state")
    return Follower("test", shelf, repository.folder, kept, Metrics(), signatures=signatures)


def version(follower: Follower) -> str | None:
    return follower.serving.version if follower.serving else None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("not signed", "it is not signed: it has no model.sig"),
        ("another key", "it is signed with another key"),
        ("tampered", "its files are not those that were signed"),
        ("copied from version 1", "it is signed as version 1, not as version 2"),
        ("another model", "it is signed as model other, not as model jukebox"),
        ("card of another commit", "its model.json has git_commit 'c0ffee1', its signature 'bad'"),
    ],
)
def test_a_version_without_a_valid_signature_is_refused_and_the_older_one_stays(
    shelf: Shelf,
    feature_repository: FeatureRepository,
    tmp_path: Path,
    keys: tuple[Path, Path],
    kind: str,
    reason: str,
) -> None:
    following = follower(shelf, feature_repository, tmp_path, RequiredSignatures(keys[1], "jukebox"))
    following.look()
    assert version(following) == "1"
    two = write_model(tmp_path / "two", seed=2)
    if kind == "another key":
        signed(two, key_pair(tmp_path, "other")[0], "2")
    elif kind == "tampered":
        signed(two, keys[0], "2")
        write_model(two, seed=3)
    elif kind == "copied from version 1":
        two = shelf.models["1"]
    elif kind == "another model":
        signed(two, keys[0], "2", model="other")
    elif kind == "card of another commit":
        signed(two, keys[0], "2", commit="bad")
    shelf.put("2", two)
    following.look()
    assert version(following) == "1"
    assert following.refused
    assert following.refused.version == "2"
    assert reason in following.refused.reason

    shelf.put("3", signed(write_model(tmp_path / "three", seed=3), keys[0], "3"))
    following.look()
    assert (version(following), following.refused) == ("3", None)


def test_the_signature_is_verified_before_the_model_is_loaded(
    shelf: Shelf,
    feature_repository: FeatureRepository,
    tmp_path: Path,
    keys: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(folder: Path) -> None:
        raise AssertionError("an unsigned model was loaded")

    monkeypatch.setattr("jukebox.serving.models.Model.load", load)
    shelf.put("2", write_model(tmp_path / "two", seed=2))
    following = follower(shelf, feature_repository, tmp_path, RequiredSignatures(keys[1], "jukebox"))
    following.look()
    assert following.refused
    assert "it is not signed" in following.refused.reason


def test_a_model_that_was_kept_from_before_is_verified_after_a_restart(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    shelf.put("1", write_model(tmp_path / "unsigned"))
    without = follower(shelf, feature_repository, tmp_path, None)
    without.look()
    assert version(without) == "1"
    restarted = follower(shelf, feature_repository, tmp_path, RequiredSignatures(keys[1], "jukebox"))
    shelf.away = True
    restarted.look()
    assert version(restarted) is None
    shelf.away = False
    shelf.put("2", signed(write_model(tmp_path / "two", seed=2), keys[0], "2"))
    restarted.look()
    assert version(restarted) == "2"


def test_without_a_key_unsigned_models_are_served(
    shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path
) -> None:
    shelf.put("2", write_model(tmp_path / "two", seed=2))
    following = follower(shelf, feature_repository, tmp_path, None)
    following.look()
    assert version(following) == "2"
    assert not following.signatures.required


def test_the_key_comes_from_the_command_line_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUKEBOX_SIGNING_KEY", raising=False)
    assert _parser().parse_args(SERVE).signing_key is None
    monkeypatch.setenv("JUKEBOX_SIGNING_KEY", "/from/environment")
    assert _parser().parse_args(SERVE).signing_key == "/from/environment"
    assert _parser().parse_args([*SERVE, "--signing-key=/given"]).signing_key == "/given"


def test_a_key_that_cannot_be_read_ends_the_service_instead_of_the_check(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelSignatureError):
        app._signatures(str(tmp_path / "missing.pem"))
    arguments = _parser().parse_args([*SERVE, f"--state={tmp_path}", f"--signing-key={tmp_path}/missing.pem"])
    assert app.run(arguments) == 1
    assert "--signing-key: " in caplog.text

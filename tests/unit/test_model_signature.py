"""A model's signature covers every file and the statement of what made it; verification needs no network."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from in_toto_attestation.v1 import statement, statement_pb2

from feature_ops import cli
from feature_ops.model_signature import (
    SIGNATURE_FILE,
    ModelSignatureError,
    ModelVerifier,
    file_digests,
    sign_model,
)
from feature_ops.private_key_file import check_private_key
from feature_ops.provenance import STATEMENT_FILE, Provenance, ProvenanceError
from feature_ops.training.verify_model import main
from tests.conftest import PROJECT
from tests.programs import need
from tests.unit.model.signed_models import key_pair, provenance, signed

FULL = Provenance(
    model="jukebox",
    version="7",
    feature_service="serving_fs",
    commit="a" * 40,
    dataset_version="b" * 64,
    definition_hash="c" * 64,
    code_hash="d" * 64,
    environment={"lock_file": "model/requirements.txt", "git_blob": "e" * 40},
    invocation="s3://data/_training/jukebox/run/x.json",
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if anything connects to a server."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"), "own")


@pytest.fixture
def model(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights" * 1000)
    (folder / "model.json").write_text("{}")
    (folder / "code" / "loader.py").write_text("x = 1\n")
    return signed(folder, keys[0])


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_a_signed_model_says_what_made_it(tmp_path: Path, model: Path, curve: ec.EllipticCurve) -> None:
    private, public = key_pair(tmp_path, "another", curve)
    sign_model(model, FULL, private)
    assert ModelVerifier(public).verify(model, "jukebox", "7") == FULL


def test_the_statement_is_an_in_toto_statement_whose_subjects_are_the_files(model: Path) -> None:
    sign_text = FULL.statement(file_digests(model))
    parsed = json_format.Parse(sign_text, statement_pb2.Statement())
    statement.Statement.copy_from_pb(parsed).validate()
    content = json.loads(sign_text)
    assert {one["name"] for one in content["subject"]} == {"model.onnx", "model.json", "code/loader.py"}
    materials = {one["name"]: one for one in content["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert materials["commit"]["digest"] == {"gitCommit": "a" * 40}
    assert materials["lock file"] == {
        "name": "lock file",
        "uri": "model/requirements.txt",
        "digest": {"gitBlob": "e" * 40},
    }


@pytest.mark.parametrize(
    "environment", [{}, {"image": "registry/jukebox:abc@sha256:123"}, dict(FULL.environment)]
)
@pytest.mark.parametrize("value", ["f" * 64, "songs:1 x", "f" * 40])
def test_a_statement_is_read_as_it_was_written(environment: dict[str, str], value: str) -> None:
    origin = {"commit": value, "dataset_version": value, "definition_hash": value, "code_hash": value}
    written = Provenance("m", "1", "s", **origin, environment=environment, invocation="x")
    assert Provenance.read(written.statement({"a": "1"})) == (written, {"a": "1"})


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"_type": 1}', "\xff"])
def test_what_is_no_statement_is_refused(text: str) -> None:
    with pytest.raises(ProvenanceError):
        Provenance.read(text.encode("latin-1"))


def _changed(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"other")


def _added(model: Path) -> None:
    (model / "extra.py").write_text("x")


def _added_where_git_would_ignore(model: Path) -> None:
    (model / ".git").mkdir()
    (model / ".git" / "config").write_text("x")


def _removed(model: Path) -> None:
    (model / "model.json").unlink()


def _renamed(model: Path) -> None:
    (model / "model.json").rename(model / "other.json")


def _linked(model: Path) -> None:
    (model / "model.json").rename(model.parent / "outside.json")
    (model / "model.json").symlink_to(model.parent / "outside.json")


def _statement_changed(model: Path) -> None:
    file = model / STATEMENT_FILE
    file.write_text(file.read_text().replace("c0ffee1", "c0ffee2"))


def _statement_of_other_files(model: Path) -> None:
    (model / STATEMENT_FILE).write_text(provenance().statement({"model.onnx": "0" * 64}))


def _no_signature(model: Path) -> None:
    (model / SIGNATURE_FILE).unlink()


def _no_statement(model: Path) -> None:
    (model / STATEMENT_FILE).unlink()


def _empty_signature(model: Path) -> None:
    (model / SIGNATURE_FILE).write_text("")


def _signature_without_signatures(model: Path) -> None:
    bundle = json.loads((model / SIGNATURE_FILE).read_text())
    bundle["dsseEnvelope"]["signatures"] = []
    (model / SIGNATURE_FILE).write_text(json.dumps(bundle))


def _payload_changed(model: Path) -> None:
    """The files are replaced, and their digests in the signed payload with them."""
    digest = file_digests(model)["model.onnx"]
    _changed(model)
    bundle = json.loads((model / SIGNATURE_FILE).read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).decode()
    forged = payload.replace(digest, file_digests(model)["model.onnx"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(forged.encode()).decode()
    (model / SIGNATURE_FILE).write_text(json.dumps(bundle))


def _signature_that_leaves_out_a_file(model: Path) -> None:
    """A valid signature of the library's own command, which ignores what its user names."""
    from model_signing import hashing, signing

    config = hashing.Config().set_ignored_paths(paths=["model.onnx", SIGNATURE_FILE])
    signer = signing.Config().use_elliptic_key_signer(private_key=_KEY[0]).set_hashing_config(config)
    signer.sign(model, model / SIGNATURE_FILE)


def _signature_without_a_statement(model: Path) -> None:
    from model_signing import hashing, signing

    statement_text = (model / STATEMENT_FILE).read_text()
    (model / STATEMENT_FILE).unlink()
    config = hashing.Config().set_ignored_paths(
        paths=[SIGNATURE_FILE, STATEMENT_FILE], ignore_git_paths=False
    )
    signer = signing.Config().use_elliptic_key_signer(private_key=_KEY[0]).set_hashing_config(config)
    signer.sign(model, model / SIGNATURE_FILE)
    (model / STATEMENT_FILE).write_text(statement_text)


def _folder_in_the_place_of_a_file_that_is_not_signed(model: Path) -> None:
    (model / "registered_model_meta").mkdir()
    (model / "registered_model_meta" / "evil.py").write_text("x")


_KEY: list[Path] = []


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (_changed, "its files are not those that were signed.*model.onnx"),
        (_added, "its files are not those that were signed.*extra.py"),
        (_added_where_git_would_ignore, "its files are not those that were signed.*config"),
        (_removed, "its files are not those that were signed.*model.json"),
        (_renamed, "its files are not those that were signed"),
        (_linked, "its signature cannot be read|not a regular file"),
        (_statement_changed, "its files are not those that were signed.*provenance.json"),
        (_statement_of_other_files, "its files are not those that were signed.*provenance.json"),
        (_no_signature, "it is not signed: it has no model.sig"),
        (_no_statement, "it is not signed: it has no provenance.json"),
        (_empty_signature, "its signature cannot be read"),
        (_signature_without_signatures, "its signature cannot be read"),
        (_payload_changed, "its signature is not valid"),
        (_signature_that_leaves_out_a_file, "its signature leaves out .*model.onnx"),
        (_signature_without_a_statement, "its signature leaves out provenance.json"),
        (_folder_in_the_place_of_a_file_that_is_not_signed, "registered_model_meta is a folder"),
    ],
)
def test_a_model_that_was_tampered_with_is_refused_with_the_reason(
    model: Path, keys: tuple[Path, Path], tamper: Callable[[Path], None], reason: str
) -> None:
    _KEY[:] = keys
    tamper(model)
    with pytest.raises(ModelSignatureError, match=reason):
        ModelVerifier(keys[1]).verify(model)


@pytest.mark.parametrize("name", ["model.sig", "provenance.json", "registered_model_meta"])
def test_a_model_with_a_folder_in_the_place_of_these_files_is_not_signed(
    tmp_path: Path, keys: tuple[Path, Path], name: str
) -> None:
    (tmp_path / "m" / name).mkdir(parents=True)
    with pytest.raises(ModelSignatureError, match=f"{name} is a folder"):
        sign_model(tmp_path / "m", FULL, keys[0])


def test_another_key_does_not_count(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelSignatureError, match="signed with another key"):
        ModelVerifier(key_pair(tmp_path, "other")[1]).verify(model)


def test_without_its_hint_another_key_does_not_count_either(model: Path, tmp_path: Path) -> None:
    bundle = json.loads((model / SIGNATURE_FILE).read_text())
    bundle["verificationMaterial"]["publicKey"]["hint"] = ""
    (model / SIGNATURE_FILE).write_text(json.dumps(bundle))
    with pytest.raises(ModelSignatureError, match="its signature is not valid"):
        ModelVerifier(key_pair(tmp_path, "other")[1]).verify(model)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"version": "2"}, "it is signed as version 1, not as version 2"),
        ({"model": "other"}, "it is signed as model jukebox, not as model other"),
    ],
)
def test_a_signed_model_cannot_be_passed_off_as_another_one(
    model: Path, keys: tuple[Path, Path], wanted: dict[str, str], reason: str
) -> None:
    with pytest.raises(ModelSignatureError, match=reason):
        ModelVerifier(keys[1]).verify(model, **wanted)


def test_one_verifier_verifies_many_models(model: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    verifier = ModelVerifier(keys[1])
    for number in range(3):
        copy = shutil.copytree(model, tmp_path / str(number))
        (copy / "more").write_text(str(number))
        assert verifier.verify(signed(copy, keys[0], str(number))).version == str(number)


def test_what_mlflow_adds_to_a_download_does_not_matter(model: Path, keys: tuple[Path, Path]) -> None:
    (model / "registered_model_meta").write_text("model_name: jukebox\n")
    assert ModelVerifier(keys[1]).verify(model)


@pytest.mark.parametrize(
    "content", [None, b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nQQ==\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(model: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelSignatureError, match=str(file)):
        ModelVerifier(file)
    with pytest.raises(ModelSignatureError, match=str(file)):
        sign_model(model, FULL, file)


def test_a_private_key_is_no_public_key(keys: tuple[Path, Path]) -> None:
    with pytest.raises(ModelSignatureError, match="is not an elliptic-curve public key"):
        ModelVerifier(keys[0])


def test_the_signature_is_in_the_format_of_openssf(model: Path, keys: tuple[Path, Path]) -> None:
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(model, model / SIGNATURE_FILE)


def test_the_command_prints_what_made_the_model(
    model: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sign_model(model, FULL, keys[0])
    command = ["verify-model", str(model), "--key", str(keys[1]), "--model", "jukebox", "--version", "7"]
    assert cli.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "jukebox version 7: the signature is valid"
    assert lines[1] == f"commit           {'a' * 40}"
    assert lines[-1] == f"environment      model/requirements.txt {'e' * 40}"


def test_the_command_says_why_a_model_does_not_count(
    model: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _changed(model)
    assert main([str(model), "--key", str(keys[1])]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "its files are not those that were signed" in told.err


def test_the_command_needs_neither_airflow_nor_mlflow(model: Path, keys: tuple[Path, Path]) -> None:
    code = (
        "import sys, feature_ops.training.verify_model as v;"
        f"code = v.main([{str(model)!r}, '--key', {str(keys[1])!r}]);"
        "print([m for m in ('airflow', 'mlflow', 'feast') if m in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PROJECT / "plugins")},
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_page_s_commands_make_keys_that_sign_and_verify(model: Path, tmp_path: Path) -> None:
    need("openssl")
    page = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")
    commands = page.partition("Create a pair of keys:\n\n```bash\n")[2].partition("```")[0]
    assert "openssl" in commands
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    private, public = tmp_path / "model-signing.pem", tmp_path / "model-signing.pub.pem"
    check_private_key(private, "X")
    sign_model(model, FULL, private)
    assert ModelVerifier(public).verify(model) == FULL

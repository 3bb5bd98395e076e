"""
Signatures of models, in the format of the OpenSSF Model Signing specification.

The signature is over every file of a model's folder, the statement of what made it included; also
``model_signing verify key`` verifies it. Keys are the deployment's own: nothing is looked up on a network.
Imports nothing of Airflow: the model's service verifies, too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feature_ops.provenance import STATEMENT_FILE, Provenance, ProvenanceError

SIGNATURE_FILE = "model.sig"
# MLflow writes it next to the files that it downloads.
_ADDED_BY_MLFLOW = "registered_model_meta"
_NOT_SIGNED = (SIGNATURE_FILE, _ADDED_BY_MLFLOW)
_BLOCK = 1 << 20


class ModelSignatureError(Exception):
    """A model is not signed, or not by the key; the message is the reason."""


def file_digests(folder: Path) -> dict[str, str]:
    """
    Return the SHA-256 of each file of a model, by its path in the folder.

    :raises ModelSignatureError: the folder has a symbolic link, or something else that is no file.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelSignatureError(f"{name} is not a regular file")
        if path.is_file() and name not in (*_NOT_SIGNED, STATEMENT_FILE):
            digests[name] = _sha256(path)
    return digests


def sign_model(folder: Path, provenance: Provenance, private_key: Path) -> None:
    """
    Write statement and signature into a model's folder.

    :param private_key: PEM file with an elliptic-curve key (P-256, P-384 or P-521) without a passphrase.
    :raises ModelSignatureError: the key or the folder cannot be used.
    """
    from model_signing import signing

    _refuse_reserved_folders(folder)
    for name in (*_NOT_SIGNED, STATEMENT_FILE):
        (folder / name).unlink(missing_ok=True)
    (folder / STATEMENT_FILE).write_text(provenance.statement(file_digests(folder)), encoding="utf-8")
    try:
        config = _new(signing).use_elliptic_key_signer(private_key=private_key)
    except Exception as error:  # of cryptography: each form of a wrong file has another
        raise ModelSignatureError(
            f"{private_key} is no elliptic-curve private key without a passphrase ({type(error).__name__})"
        ) from None
    config.set_hashing_config(_hashing()).sign(folder, folder / SIGNATURE_FILE)


class ModelVerifier:
    """
    Verifies models with a public key, which is read once.

    :param public_key: PEM file.
    :raises ModelSignatureError: it is no such file.
    """

    def __init__(self, public_key: Path) -> None:
        from model_signing import verifying

        try:
            self._config = _new(verifying).use_elliptic_key_verifier(public_key=public_key)
        except OSError as error:
            raise ModelSignatureError(f"{public_key} cannot be read ({error.strerror})") from None
        except Exception as error:  # of cryptography: each form of a wrong file has another
            raise ModelSignatureError(
                f"{public_key} is not an elliptic-curve public key in PEM form ({type(error).__name__})"
            ) from None

    def verify(self, folder: Path, model: str | None = None, version: str | None = None) -> Provenance:
        """
        Return what made a model, once its signature and every file are verified.

        :param model: the name that the statement must have; None for any.
        :param version: the version that the statement must have; None for any.
        :raises ModelSignatureError: with the reason.
        """
        for name in (SIGNATURE_FILE, STATEMENT_FILE):
            if not (folder / name).is_file() or (folder / name).is_symlink():
                raise ModelSignatureError(f"it is not signed: it has no {name}")
        _refuse_reserved_folders(folder)
        self._verify_files(folder)
        try:
            provenance, subjects = Provenance.read((folder / STATEMENT_FILE).read_bytes())
        except ProvenanceError as error:
            raise ModelSignatureError(str(error)) from None
        _require_all_signed(_signed_files(folder / SIGNATURE_FILE), subjects)
        for what, wanted, found in (
            ("model", model, provenance.model),
            ("version", version, provenance.version),
        ):
            if wanted is not None and wanted != found:
                raise ModelSignatureError(f"it is signed as {what} {found}, not as {what} {wanted}")
        return provenance

    def _verify_files(self, folder: Path) -> None:
        try:
            self._config.set_hashing_config(_hashing()).verify(folder, folder / SIGNATURE_FILE)
        except Exception as error:  # a bundle is untrusted: any failure to read it refuses the model
            raise ModelSignatureError(_reason(error)) from None


def _refuse_reserved_folders(folder: Path) -> None:
    """Refuse folders with the names of files that are not signed: their content would not be signed."""
    for name in (*_NOT_SIGNED, STATEMENT_FILE):
        if (folder / name).is_dir():
            raise ModelSignatureError(f"{name} is a folder")


def _hashing() -> Any:
    from model_signing import hashing

    config = _new(hashing).use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    return config.set_ignored_paths(paths=_NOT_SIGNED, ignore_git_paths=False)


def _new(module: Any) -> Any:
    """Return the configuration of a module of the library, whose constructors are not typed."""
    return module.Config()


def _signed_files(signature: Path) -> dict[str, str]:
    """Return the digests in a signature that is verified."""
    bundle = json.loads(signature.read_bytes())
    predicate = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["predicate"]
    ignored = set(predicate["serialization"].get("ignore_paths", ())) - set(_NOT_SIGNED)
    if ignored:
        raise ModelSignatureError(f"its signature leaves out {', '.join(sorted(ignored))}")
    return {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}


def _require_all_signed(signed: Mapping[str, str], subjects: Mapping[str, str]) -> None:
    if STATEMENT_FILE not in signed:
        raise ModelSignatureError(f"its signature leaves out {STATEMENT_FILE}")
    if {name: digest for name, digest in signed.items() if name != STATEMENT_FILE} != dict(subjects):
        raise ModelSignatureError(f"its {STATEMENT_FILE} is about other files")


def _reason(error: Exception) -> str:
    if type(error).__name__ == "InvalidSignature":
        return "its signature is not valid"
    text = str(error)
    if "Key mismatch" in text:
        return "it is signed with another key"
    if text.startswith("Signature mismatch: "):
        return f"its files are not those that were signed ({text.removeprefix('Signature mismatch: ')[:300]})"
    return f"its signature cannot be read ({type(error).__name__}: {text[:200]})"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

"""Whether a model may be served: its signature, verified with the deployment's public key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from feature_ops.model_signature import ModelSignatureError, ModelVerifier
from jukebox.serving.problems import RefusedError

# What model.json and the signed statement both say.
_SAME = {
    "git_commit": "commit",
    "dataset_version": "dataset_version",
    "definition_hash": "definition_hash",
    "service": "feature_service",
}


class Signatures(Protocol):
    """Decides which models may be loaded."""

    required: bool

    def check(self, folder: Path, version: str) -> Mapping[str, Any]:
        """
        Return what the signature says of the model, by the names of model.json.

        :raises RefusedError: the model must not be served.
        """


class NoSignatures:
    """Signatures are not checked."""

    required = False

    def check(self, folder: Path, version: str) -> Mapping[str, Any]:
        """Accept every model."""
        return {}


class RequiredSignatures:
    """
    Every model must be signed as the version that it is.

    :param public_key: PEM file.
    :param model: the registered model's name.
    :raises ModelSignatureError: the file is no public key.
    """

    required = True

    def __init__(self, public_key: Path, model: str) -> None:
        self._verifier, self._model = ModelVerifier(public_key), model

    def check(self, folder: Path, version: str) -> Mapping[str, Any]:
        """Verify signature and files."""
        try:
            found = self._verifier.verify(folder, self._model, version)
        except ModelSignatureError as error:
            raise RefusedError(f"its signature does not count: {error}") from None
        return {name: getattr(found, attribute) for name, attribute in _SAME.items()}


def require_same_facts(facts: Mapping[str, Any], signed: Mapping[str, Any]) -> None:
    """
    Refuse a model whose model.json says something else than its signature.

    :raises RefusedError: names the first difference.
    """
    for name, value in signed.items():
        if facts.get(name) != value:
            raise RefusedError(f"its model.json has {name} {facts.get(name)!r}, its signature {value!r}")

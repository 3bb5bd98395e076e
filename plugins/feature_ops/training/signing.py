"""
The signature of a registered model version.

A version is signed once. The object store keeps the first statement and signature, by compare-and-swap, so a
retry publishes the same ones, and files that were replaced later are refused and not signed again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError
from feature_ops.model_signature import (
    SIGNATURE_FILE,
    ModelSignatureError,
    file_digests,
    sign_model,
)
from feature_ops.object_store import ObjectStore
from feature_ops.private_key_file import check_private_key
from feature_ops.provenance import STATEMENT_FILE, Provenance, ProvenanceError
from feature_ops.training.declaration import Model
from feature_ops.training.model_registry import ModelRegistry
from feature_ops.training.result import TrainingResult

log = logging.getLogger(__name__)

SETTING = "FEATURE_OPS_MODEL_SIGNING_KEY"
_FILES = (STATEMENT_FILE, SIGNATURE_FILE)
_FROM_THE_PLAN = ("commit", "dataset_version", "definition_hash", "code_hash", "environment")


@dataclass(frozen=True)
class SignedVersions:
    """
    The signatures of a model's versions.

    :param key: private key; see :func:`~feature_ops.model_signature.sign_model`.
    :param prefix: where the signatures are stored; no training may write there.
    """

    registry: ModelRegistry
    store: ObjectStore
    model: Model
    key: Path
    prefix: str

    def sign(self, version: str, result: TrainingResult, trained: Mapping[str, Any], folder: Path) -> None:
        """
        Sign a version and put statement and signature next to its files. May be repeated.

        :param trained: what the training was started for, as the tasks pass it on.
        :param folder: an empty scratch directory.
        :raises BadInputError: the files, the key or the training's result do not allow it.
        """
        check_private_key(self.key, SETTING)
        provenance = self._provenance(version, result, trained)
        self._refuse_other_training(version, provenance)
        files = self.registry.download_files(result, folder)
        stored = self._stored(version)
        if stored is None:
            try:
                sign_model(files, provenance, self.key)
            except ModelSignatureError as error:
                raise BadInputError(f"version {version} of {self.model.name}: {error}") from None
            made = {name: (files / name).read_text("utf-8") for name in _FILES}
            stored = self._store_once(version, made)
        self._refuse_other_files(version, stored, files)
        for name in _FILES:
            (files / name).write_text(stored[name], encoding="utf-8")
            self.registry.add_file(result, files / name)
        log.info("Version %s of %s is signed", version, self.model.name)

    def _provenance(self, version: str, result: TrainingResult, trained: Mapping[str, Any]) -> Provenance:
        """Return what the version is made of, as decided before the training, whose code is untrusted."""
        lacking = [name for name in _FROM_THE_PLAN if name not in trained]
        if lacking:
            raise BadInputError(
                f"the result of `retrain` lacks {', '.join(lacking)}, which is signed: clear `retrain` and "
                "the tasks after it"
            )
        for what, reported, planned in (
            ("commit", result.git_commit, trained["commit"]),
            ("data version", result.dataset_version, trained["dataset_version"]),
            ("definition hash", result.definition_hash, trained["definition_hash"]),
        ):
            if reported != planned:
                raise BadInputError(
                    f"the training reports {what} {reported[:100]!r} and was started for {planned!r}: it is "
                    "not signed; correct the train command"
                )
        return Provenance(
            model=self.model.name,
            version=version,
            feature_service=self.model.feature_service,
            commit=trained["commit"],
            dataset_version=trained["dataset_version"],
            definition_hash=trained["definition_hash"],
            code_hash=trained["code_hash"],
            environment=trained["environment"],
            invocation=str(trained["result_uri"]),
        )

    def _refuse_other_training(self, version: str, provenance: Provenance) -> None:
        """Refuse a result that names the MLflow run of another training: its version is not ours to sign."""
        found = self.registry.by_number(version)
        if found is None or found.result_uri != provenance.invocation:
            raise BadInputError(
                f"version {version} of {self.model.name} belongs to another training"
                f"{f' ({found.result_uri})' if found else ''}: the training must log a run of its own"
            )

    def _uri(self, version: str) -> str:
        return f"{self.prefix}{self.model.name}/{version}.json"

    def _stored(self, version: str) -> dict[str, str] | None:
        found = self.store.get_bytes(self._uri(version))
        return None if found is None else json.loads(found[0])

    def _store_once(self, version: str, files: dict[str, str]) -> dict[str, str]:
        """Store the signature, unless another try was faster; returns the one that is stored."""
        if self.store.replace_bytes(json.dumps(files).encode(), self._uri(version), None):
            return files
        stored = self._stored(version)
        assert stored is not None
        return stored

    def _refuse_other_files(self, version: str, stored: Mapping[str, str], files: Path) -> None:
        try:
            signed, subjects = Provenance.read(stored[STATEMENT_FILE])
            found = file_digests(files)
        except (ProvenanceError, ModelSignatureError) as error:
            raise BadInputError(f"version {version} of {self.model.name}: {error}") from None
        if (signed.model, signed.version) != (self.model.name, version) or subjects != found:
            raise BadInputError(
                f"version {version} of {self.model.name} was signed with other files ({self._uri(version)}): "
                "its files in MLflow were changed since; find out who did, and train again"
            )

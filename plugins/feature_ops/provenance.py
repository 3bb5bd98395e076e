"""
What a model version was made of: an in-toto statement with SLSA provenance, next to the model's files.

Imports neither Airflow nor a library for signatures: the model's service reads it, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STATEMENT_FILE = "provenance.json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:feature-ops:training:v1"

_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class ProvenanceError(Exception):
    """A statement is not what :meth:`Provenance.statement` writes; the message says what is wrong."""


@dataclass(frozen=True)
class Provenance:
    """
    One version of a model and what it was made of.

    :param model: name in the model registry.
    :param commit: whose definitions and code it was trained with.
    :param dataset_version: which data it was trained on.
    :param definition_hash: of its feature service.
    :param code_hash: of its code.
    :param environment: what the training ran in: ``image``, or ``lock_file`` with ``git_blob``.
    :param invocation: where the training put its result.
    """

    model: str
    version: str
    feature_service: str
    commit: str
    dataset_version: str
    definition_hash: str
    code_hash: str
    environment: Mapping[str, str] = field(default_factory=dict)
    invocation: str = ""

    def statement(self, files: Mapping[str, str]) -> str:
        """
        Return the statement as JSON.

        :param files: SHA-256 of each file, by its path in the model's folder.
        """
        content = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": files[name]}} for name in sorted(files)],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "model": self.model,
                        "version": self.version,
                        "featureService": self.feature_service,
                    },
                    "resolvedDependencies": [
                        _material("commit", self.commit, "gitCommit", _SHA1),
                        _material("data version", self.dataset_version, "sha256", _SHA256),
                        _material("feature definitions", self.definition_hash, "sha256", _SHA256),
                        _material("model code", self.code_hash, "sha256", _SHA256),
                        *self._environment(),
                    ],
                },
                "runDetails": {
                    "builder": {"id": "urn:feature-ops"},
                    "metadata": {"invocationId": self.invocation},
                },
            },
        }
        return json.dumps(content, indent=1)

    @classmethod
    def read(cls, text: str | bytes) -> tuple[Provenance, dict[str, str]]:
        """
        Return the content of a statement, and the SHA-256 of each file by its path.

        :raises ProvenanceError: it is no such statement.
        """
        try:
            content = json.loads(text)
            kinds = (content["_type"], content["predicateType"])
            build = content["predicate"]["buildDefinition"]
            if (*kinds, build["buildType"]) != (STATEMENT_TYPE, PREDICATE_TYPE, BUILD_TYPE):
                raise ProvenanceError(f"its {STATEMENT_FILE} is not a statement about a training")
            subjects = [(str(one["name"]), str(one["digest"]["sha256"])) for one in content["subject"]]
            found = cls._of(build, str(content["predicate"]["runDetails"]["metadata"]["invocationId"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProvenanceError(
                f"its {STATEMENT_FILE} is not complete ({type(error).__name__}: {error})"
            ) from None
        if len(dict(subjects)) != len(subjects):
            raise ProvenanceError(f"its {STATEMENT_FILE} names a file twice")
        return found, dict(subjects)

    @classmethod
    def _of(cls, build: Mapping[str, Any], invocation: str) -> Provenance:
        parameters = build["externalParameters"]
        materials = {str(one["name"]): one for one in build["resolvedDependencies"]}
        environment = {}
        if "training image" in materials:
            environment = {"image": str(materials["training image"]["uri"])}
        elif "lock file" in materials:
            lock = materials["lock file"]
            environment = {"lock_file": str(lock["uri"]), "git_blob": str(lock["digest"]["gitBlob"])}
        return cls(
            model=str(parameters["model"]),
            version=str(parameters["version"]),
            feature_service=str(parameters["featureService"]),
            commit=_value(materials["commit"]),
            dataset_version=_value(materials["data version"]),
            definition_hash=_value(materials["feature definitions"]),
            code_hash=_value(materials["model code"]),
            environment=environment,
            invocation=invocation,
        )

    def _environment(self) -> list[dict[str, Any]]:
        if "image" in self.environment:
            return [{"name": "training image", "uri": self.environment["image"]}]
        if "lock_file" in self.environment:
            digest = {"gitBlob": self.environment["git_blob"]}
            return [{"name": "lock file", "uri": self.environment["lock_file"], "digest": digest}]
        return []


def _material(name: str, value: str, algorithm: str, pattern: re.Pattern[str]) -> dict[str, Any]:
    """Return a material by its digest; a value of another form stands in a URI."""
    if pattern.fullmatch(value):
        return {"name": name, "digest": {algorithm: value}}
    return {"name": name, "uri": f"urn:feature-ops:{name.replace(' ', '-')}:{value}"}


def _value(material: Mapping[str, Any]) -> str:
    if "digest" in material:
        (value,) = material["digest"].values()
        return str(value)
    return str(material["uri"]).split(":", 3)[3]

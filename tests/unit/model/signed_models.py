"""Keys for models, and signed ones."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from feature_ops.model_signature import sign_model
from feature_ops.provenance import Provenance

ORIGIN = {"commit": "c0ffee1", "dataset_version": "songs-1", "definition_hash": "d" * 8}


def key_pair(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """Write a private and a public key; returns their files."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def provenance(version: str = "1", **changes: str) -> Provenance:
    """Return what ``serving_parts.write_model`` says of its models."""
    values = {"model": "jukebox", "feature_service": "serving_fs", "code_hash": "e" * 64, **ORIGIN, **changes}
    return Provenance(version=version, invocation="s3://data/_training/x.json", **values)


def signed(folder: Path, private: Path, version: str = "1", **changes: str) -> Path:
    """Sign a model's folder; returns it."""
    sign_model(folder, provenance(version, **changes), private)
    return folder

"""
``python -m feature_ops.training.verify_model FOLDER --key KEY.pem``: verify a signed model offline.

Exit codes: 0, the signature is valid; 1, it is not; 2, the command line is wrong. Needs neither Airflow nor
MLflow nor a network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from feature_ops.model_signature import ModelSignatureError, ModelVerifier
from feature_ops.provenance import Provenance


def main(
    arguments: Sequence[str] | None = None, prog: str = "python -m feature_ops.training.verify_model"
) -> int:
    """Print what made a model, or why its signature does not count; returns the exit code."""
    options = _parser(prog).parse_args(arguments)
    try:
        found = ModelVerifier(options.key).verify(options.folder, options.model, options.version)
    except ModelSignatureError as error:
        print(f"{options.folder}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    for line in _lines(found):
        print(line)  # noqa: T201
    return 0


def _lines(found: Provenance) -> list[str]:
    environment = found.environment.get("image") or " ".join(found.environment.values()) or "not stated"
    return [
        f"{found.model} version {found.version}: the signature is valid",
        f"commit           {found.commit}",
        f"data version     {found.dataset_version}",
        f"feature service  {found.feature_service} ({found.definition_hash})",
        f"model code       {found.code_hash}",
        f"environment      {environment}",
    ]


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Verifies the signature of a model, offline.",
        epilog="Exit codes: 0 valid, 1 not valid, 2 wrong command line.",
    )
    parser.add_argument("folder", type=Path, help="the model's files, such as MLflow downloads them")
    parser.add_argument("--key", type=Path, required=True, help="PEM file with the public key")
    parser.add_argument("--model", help="the name that the model must be signed with")
    parser.add_argument("--version", help="the version that it must be signed as")
    return parser


if __name__ == "__main__":
    sys.exit(main())

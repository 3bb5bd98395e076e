"""
Write the passwords that docker-compose.yaml asks for into a file: ``passwords.py .env``.

What is in the file already stays as it is. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

HEADER = "# Made by `make up`, never to be committed. Ports and the like may be set here, too.\n"


def _letters() -> str:
    """Return letters and digits, which fit into any URL and file."""
    return secrets.token_hex(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _letters,
    "AIRFLOW_DB_PASSWORD": _letters,
    "FEAST_DB_PASSWORD": _letters,
    "FEAST_READER_DB_PASSWORD": _letters,
    "MLFLOW_DB_PASSWORD": _letters,
    "VALKEY_PASSWORD": _letters,
    "VALKEY_FEAST_PASSWORD": _letters,
    "VALKEY_READER_PASSWORD": _letters,
    "S3_ACCESS_KEY": _letters,
    "S3_SECRET_KEY": _letters,
    "S3_AIRFLOW_SECRET_KEY": _letters,
    "S3_MLFLOW_SECRET_KEY": _letters,
    "S3_TRAINING_SECRET_KEY": _letters,
    "S3_SERVING_SECRET_KEY": _letters,
    "GIT_PASSWORD": _letters,
    "GITEA_SECRET_KEY": _letters,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_SECRET_KEY": _letters,
    "AIRFLOW_JWT_SECRET": _letters,
    "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_hex(8),
    "ALERT_TOKEN": _letters,
}


def complete(path: Path) -> list[str]:
    """Add the secrets that the file lacks, whole or not at all; returns their names."""
    text = path.read_text() if path.exists() else HEADER
    there = {line.partition("=")[0].strip() for line in text.splitlines()}
    missing = [name for name in SECRETS if name not in there]
    if missing:
        lines = "".join(f"{name}={SECRETS[name]()}\n" for name in missing)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")
            file.write(lines)
        temporary.replace(path)
    return missing


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if made := complete(target):
        print(f"Wrote {len(made)} passwords to {target}.")

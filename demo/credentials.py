"""Generated passwords, kept in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


class Credentials:
    """
    Secrets by name: generated at their first use, the same at every later start.

    :param path: the JSON file that holds them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def secret(self, name: str, size: int = 24) -> str:
        """Return the secret of that name: letters and digits, so that it fits into any syntax."""
        return self.remember(name, lambda: secrets.token_hex(size))

    def remember(self, name: str, generate: object) -> str:
        """Return the secret of that name, made by ``generate()`` if there is none yet."""
        if name not in self._secrets:
            assert callable(generate)
            self._secrets[name] = generate()
            write_private(self._path, json.dumps(self._secrets, indent=2))
        return self._secrets[name]

"""What is kept on disk: the last model that was good, with the definitions it answered with."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CURRENT = "current.json"


@dataclass(frozen=True)
class KeptModel:
    """
    A model's files.

    :param version: which version it is.
    :param folder: where its files are.
    :param definitions: a copy of the feature registry.
    """

    version: str
    folder: Path
    definitions: Path


class KeptModels:
    """
    A folder that names one model at any time, even if the process is killed while it changes.

    :param folder: no other instance may use it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def claim(self) -> None:
        """
        Make this process the folder's only user, for as long as it lives.

        :raises OSError: another process is.
        """
        self._claimed = (self._folder / "claimed").open("w")
        try:
            fcntl.flock(self._claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(
                f"{self._folder} keeps the model of another instance that runs: give each one its own --state"
            ) from None

    def new(self) -> Path:
        """Return an empty folder for the files of a model that may or may not be good."""
        return Path(tempfile.mkdtemp(prefix="model-", dir=self._folder))

    def current(self) -> KeptModel | None:
        """Return the last good model; None if there is none that can be read."""
        try:
            entry: dict[str, Any] = json.loads((self._folder / _CURRENT).read_text(encoding="utf-8"))
            folder = self._folder / str(entry["folder"])
            return KeptModel(str(entry["version"]), folder, folder / str(entry["definitions"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, model: KeptModel) -> None:
        """Make a model the last good one, and remove what is older."""
        entry = {
            "version": model.version,
            "folder": model.folder.name,
            "definitions": model.definitions.name,
        }
        written = self._folder / f"{_CURRENT}.new"
        with written.open("w", encoding="utf-8") as file:
            json.dump(entry, file)
            file.flush()
            os.fsync(file.fileno())
        written.replace(self._folder / _CURRENT)
        for old in (*self._folder.glob("model-*"), *model.folder.glob("definitions-*")):
            if old not in (model.folder, model.definitions):
                remove(old)


def remove(path: Path) -> None:
    """Remove a file or folder; one that can't be removed now goes with the next model."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

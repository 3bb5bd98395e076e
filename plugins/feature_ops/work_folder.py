"""Scratch folders that disappear with their run, even when the run is killed."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feature_ops.settings import get_settings

log = logging.getLogger(__name__)

PREFIX = "feature-ops-"
# Between its creation and its lock a folder belongs to a living run that cannot prove it.
GRACE_SECONDS = 60.0


@contextmanager
def work_folder(purpose: str) -> Iterator[Path]:
    """
    Yield an empty folder that only this run uses, and remove it afterwards.

    Its run holds a lock on the folder, which the system frees when the run dies. So whoever comes
    next knows the folders of killed runs by their free locks, and removes them.

    :param purpose: a word that tells a person who looks at the folder what it is for.
    """
    parent = get_settings().work_dir
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=parent))
    lock = _lock(folder)
    try:
        _remove_leftovers(folder.parent)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock the folder if nobody holds it; returns the lock's descriptor, or None if it is held."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        # Another sweeper may be faster, and a folder of another user is not ours to touch.
        with suppress(OSError):
            age = time.time() - folder.stat().st_mtime
            lock = _lock(folder) if age > GRACE_SECONDS else None
            if lock is not None:
                log.info("Removing %s, which a killed run left behind", folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

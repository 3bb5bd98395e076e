"""Scratch folders that disappear with their run, even when the run is killed."""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feature_ops.settings import get_settings

log = logging.getLogger(__name__)

PREFIX = "feature-ops-work-"
# Only a folder with this file is ever taken for a leftover.
MARKER = ".work-folder"


@contextmanager
def work_folder(purpose: str) -> Iterator[Path]:
    """
    Yield an empty folder that only this run uses, and remove it afterwards.

    Its run holds a lock on a file beside it, which the system frees when the run dies. So whoever
    comes next knows the folders of killed runs by their free locks, and removes them.

    :param purpose: a word that tells a person who looks at the folder what it is for.
    """
    parent = get_settings().work_dir
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=parent))
    try:
        with _locked_marker(folder):
            _remove_leftovers(folder.parent)
            scratch = folder / "scratch"
            scratch.mkdir()
            yield scratch
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked_marker(folder: Path) -> Iterator[None]:
    # Locked before it gets its name, so no sweeper ever sees it free while its run lives.
    unnamed = folder / f"{MARKER}.new"
    with unnamed.open("w") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        unnamed.rename(folder / MARKER)
        yield


def _remove_leftovers(parent: Path) -> None:
    for marker in parent.glob(f"{PREFIX}*/{MARKER}"):
        # Held by a living run, removed by a faster sweeper, or another user's: not ours to touch.
        with suppress(OSError), marker.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            log.info("Removing %s, which a killed run left behind", marker.parent)
            shutil.rmtree(marker.parent, ignore_errors=True)

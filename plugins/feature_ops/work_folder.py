"""Scratch folders that disappear with their run, even when the run is killed."""

from __future__ import annotations

import errno
import fcntl
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings

log = logging.getLogger(__name__)

PREFIX = "feature-ops-work-"
# Only a folder with this file is ever taken for a leftover.
MARKER = ".work-folder"

# A path into a folder that this package made with ``mkdtemp``, which adds eight characters.
_SCRATCH_PATH = re.compile(
    rf"(?<![\w:/.-])/(?:[^\s'\"/]+/)*(?:{PREFIX}[\w-]+/scratch|feature-(?:ops-)?[a-z]+-[a-z0-9_]{{8}})(?![\w-])(/?)"
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Programs and libraries that are not written in Python have only words for it. So may a server whose
# own disk is full; they count only if there is less room here than one of their writes takes.
_FULL_IN_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full|Out of diskspace"
)
_ONE_WRITE = 1 << 20


class WorkFolderFullError(FeatureOpsError):
    """There is no room for scratch files; a later try may find some."""


@contextmanager
def work_folder(purpose: str) -> Iterator[Path]:
    """
    Yield an empty folder that only this run uses, and remove it afterwards.

    Its run holds a lock on a file beside it, which the system frees when the run dies. So whoever
    comes next knows the folders of killed runs by their free locks, and removes them.

    :param purpose: a word that tells a person who looks at the folder what it is for.
    :raises WorkFolderFullError: the disk is full, whoever met that in the block.
    """
    parent = get_settings().work_dir or Path(tempfile.gettempdir())
    with (
        _fullness_told(parent),
        _removed_afterwards(parent, purpose) as folder,
        # Before the folder goes and with it what filled the disk.
        _fullness_told(parent),
    ):
        yield folder


def without_scratch_paths(text: str) -> str:
    """Return a text in which files of scratch folders have relative paths: the folders are removed."""
    return _SCRATCH_PATH.sub(lambda found: "" if found[1] else "the scratch folder", text)


@contextmanager
def _removed_afterwards(parent: Path, purpose: str) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=parent))
    try:
        with _locked_marker(folder):
            _remove_leftovers(folder.parent)
            scratch = folder / "scratch"
            scratch.mkdir()
            yield scratch
    finally:
        _remove(folder)


@contextmanager
def _fullness_told(parent: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not _is_of_a_full_disk(error, parent):
            raise
        raise WorkFolderFullError(
            f"no space is left in the work folder {parent}: free some, or set FEATURE_OPS_WORK_DIR to a "
            "folder with room for two and a half times the dataset's file; then try again"
        ) from None


def _is_of_a_full_disk(error: BaseException, parent: Path) -> bool:
    """Whether a full disk is the error or behind it, also where it was raised anew as another one."""
    full = shutil.disk_usage(parent).free < _ONE_WRITE
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if full and _FULL_IN_WORDS.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


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
            _remove(marker.parent)


def _remove(folder: Path) -> None:
    # The marker last: who is killed on the way leaves a folder that is still known for a leftover.
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)

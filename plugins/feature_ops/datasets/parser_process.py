"""
Read an untrusted source file in a child process, so that nothing in the file can end the worker.

The child gets the paths, the dataset's declaration and limits; its environment has no credentials. A crash, a
hang, and more memory or time than allowed are the file's fault and become a refusal. A full disk, a machine
without memory and a kill from outside are not: the task may be retried.
"""

from __future__ import annotations

import errno
import json
import logging
import mmap
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import Normalized
from feature_ops.datasets.parquet_source import IS_ENCRYPTED, is_about_encryption
from feature_ops.datasets.parser import ANSWER_FILE, FULL_DISK, NORMALIZED_FILE, PROGRESS_FILE
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.sandbox.features import log_missing

log = logging.getLogger(__name__)

_PACKAGES = Path(__file__).resolve().parents[2]
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZDIR")
_COMMAND = [sys.executable, "-P", "-m", "feature_ops.datasets.parser"]
_LARGEST_ANSWER = 128 * 1024 * 1024
_TAIL = 4000
_ERRORS = "errors"
# Sent by operators, by Airflow, and by the kernel where memory is short.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory")


@dataclass(frozen=True)
class Limits:
    """
    What reading one file may take.

    :param unpacked: bytes that the file may unpack to.
    :param memory: bytes of memory.
    :param seconds: time, and processor time.
    """

    unpacked: int
    memory: int
    seconds: float


def parse(
    source: Path,
    folder: Path,
    dataset: Dataset,
    *,
    timestamp_column: str,
    stamp: datetime,
    latest: datetime,
    limits: Limits,
) -> Normalized:
    """
    Normalize a file in a child process; the parameters are those of :func:`normalize.normalize`.

    :param folder: empty scratch folder for what the child writes.
    :raises BadInputError: the file can't be read, or not within the limits.
    :raises FeatureOpsError: the child failed for a reason outside the file; a later try may work.
    :raises OSError: so did the disk.
    """
    from feature_ops.settings import get_settings

    request = {
        "parent": os.getpid(),
        "source": str(source),
        "folder": str(folder),
        "dataset": dataset.model_dump(mode="json"),
        "timestamp_column": timestamp_column,
        "stamp": stamp.isoformat(),
        "latest": latest.isoformat(),
        "limit": int(limits.unpacked),
        "memory": int(limits.memory),
        "seconds": limits.seconds,
        "required": list(get_settings().sandbox_required),
    }
    child = _Child(folder, limits)
    answer = child.run(request)
    if "normalized" in answer:
        log_missing(answer.get("missing"))
        return Normalized.of_json(folder / NORMALIZED_FILE, answer["normalized"])
    if "out_of_memory" in answer:
        raise child.out_of_memory()
    if "errno" in answer:
        raise child.disk_failure(int(answer["errno"]))
    raise BadInputError(str(answer["refused"]))


class _Child:
    """One run of the child process, and what its end means."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the child's answer; raises what its end means if there is none."""
        with (self._folder / _ERRORS).open("wb") as errors:
            try:
                done = subprocess.run(
                    _COMMAND,
                    input=json.dumps(request).encode(),
                    stdout=errors,
                    stderr=errors,
                    cwd=self._folder,
                    env=_environment(self._folder),
                    timeout=self._limits.seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise self._too_slow() from None
        if done.returncode == 0:
            return self._answer()
        tail = self._tail()
        log.warning("The parser ended with exit code %d: %s", done.returncode, tail)
        raise self._meaning(done.returncode, tail)

    def out_of_memory(self) -> FeatureOpsError:
        """Return the error of a child without memory: the file's fault, unless the machine has none."""
        memory = f"{self._limits.memory / 1024**2:,.0f} MiB"
        try:
            mmap.mmap(-1, self._limits.memory).close()
        except (OSError, MemoryError):
            return FeatureOpsError(
                f"this machine has no {memory} of memory to read the file: try again when it has, or lower "
                "FEATURE_OPS_PARSE_MEMORY"
            )
        return BadInputError(
            f"the parquet file needs more than {memory} of memory to be read{self._where()}: write it with "
            "smaller row groups and pages (in pandas and pyarrow: row_group_size=50_000; 1 MB per page is "
            "usual), or raise FEATURE_OPS_PARSE_MEMORY"
        )

    def disk_failure(self, number: int) -> Exception:
        """Return the error of a child whose write or read failed."""
        if number == errno.EFBIG:
            return BadInputError(
                f"the parquet file unpacks to more than {self._limits.unpacked:,} bytes: split it, or raise "
                "FEATURE_OPS_SOURCE_MAX_SIZE"
            )
        return OSError(number, os.strerror(number), str(self._folder))

    def _answer(self) -> dict[str, Any]:
        path = self._folder / ANSWER_FILE
        try:
            if path.stat().st_size > _LARGEST_ANSWER:
                raise ValueError
            answer = json.loads(path.read_bytes())
        except (OSError, ValueError):
            raise FeatureOpsError("the parser's answer can't be read: try again") from None
        if not isinstance(answer, dict):
            raise FeatureOpsError("the parser's answer can't be read: try again")
        return answer

    def _meaning(self, code: int, tail: str) -> Exception:
        if code == FULL_DISK:
            return self.disk_failure(errno.ENOSPC)
        if -code in _FROM_OUTSIDE:
            return FeatureOpsError(
                f"the process that reads the file was ended by {_signal_name(-code)}{self._where()}, from "
                "outside or because this machine is short of memory: try again"
            )
        if -code == signal.SIGXCPU:
            return self._too_slow()
        last = tail.splitlines()[-1] if tail else ""
        if self._rows() is None:
            return FeatureOpsError(f"the process that reads the file did not start: {last or code}")
        if any(text in tail for text in _OUT_OF_MEMORY):
            return self.out_of_memory()
        if is_about_encryption(tail):  # Arrow aborts where only some columns are encrypted
            return BadInputError(IS_ENCRYPTED)
        how = f"ended with {_signal_name(-code)}" if code < 0 else f"failed with {last[:200]}"
        return BadInputError(
            f"the parser {how}{self._where()}: write the file again, with another library or version if it "
            "repeats"
        )

    def _too_slow(self) -> FeatureOpsError:
        seconds = f"{self._limits.seconds:,.0f} s"
        if self._rows() is None:
            return FeatureOpsError(
                f"the process that reads the file did not start within {seconds}: try again"
            )
        return BadInputError(
            f"the parquet file can't be read within {seconds}{self._where()}: split it, write it again, or "
            "raise FEATURE_OPS_PARSE_TIMEOUT"
        )

    def _rows(self) -> int | None:
        """Return how many rows were done, or None if the child had not begun."""
        try:
            return int((self._folder / PROGRESS_FILE).read_text())
        except (OSError, ValueError):
            return None

    def _where(self) -> str:
        rows = self._rows()
        return f" after row {rows:,}" if rows else ""

    def _tail(self) -> str:
        with (self._folder / _ERRORS).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            return file.read().decode(errors="replace").strip()


def _environment(folder: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(_PACKAGES), *(path for path in sys.path if path)]),
        "TMPDIR": str(folder),
        # Arrow's own allocators reserve memory in large blocks, which the limit would count.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

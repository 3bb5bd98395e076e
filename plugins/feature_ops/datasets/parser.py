"""
The process that reads an untrusted source file: limited, without network, credentials and other files.

Started by :mod:`feature_ops.datasets.parser_process` as ``python -m feature_ops.datasets.parser``. It reads
the request from standard input; normalized rows, a JSON answer and its progress are files in one folder.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError

ANSWER_FILE, PROGRESS_FILE, NORMALIZED_FILE = "answer.json", "progress", "normalized.parquet"
_MIB = 1 << 20


#: Exit code of a full disk, on which there is no room for an answer.
FULL_DISK = 100


def main() -> None:
    """Answer the request. Whatever else goes wrong ends the process with a traceback."""
    faulthandler.enable()
    request = json.load(sys.stdin)
    try:
        _run(request, Path(request["folder"]))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(FULL_DISK)
        raise


def _run(request: dict[str, Any], folder: Path) -> None:
    progress = os.open(folder / PROGRESS_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    answer = _answer(request, folder, lambda rows: _write_progress(progress, rows))
    (folder / ANSWER_FILE).write_text(json.dumps(answer))


class WithoutPandas(MetaPathFinder):
    """Hides pandas: Arrow imports it on first use, which takes longer than reading a small file."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raise for pandas; leave every other module to the next finder."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def _write_progress(file: int, rows: int) -> None:
    os.pwrite(file, f"{rows:20}".encode(), 0)


def _answer(request: dict[str, Any], folder: Path, progress: Callable[[int], None]) -> dict[str, Any]:
    source = Path(request["source"])
    # First: libraries start threads, which would stay outside of the sandbox.
    missing = _confine(request, source, folder)
    sys.meta_path.insert(0, WithoutPandas())
    # Imported before the memory is limited.
    import numpy as np  # noqa: F401
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    from feature_ops.datasets.dataset import Dataset
    from feature_ops.datasets.normalize import normalize
    from feature_ops.feast.diff.confinement import make_room

    dataset = Dataset.model_validate(request["dataset"])
    _limit(request)
    progress(0)
    try:
        normalized = normalize(
            source,
            folder / NORMALIZED_FILE,
            dataset,
            timestamp_column=request["timestamp_column"],
            stamp=datetime.fromisoformat(request["stamp"]),
            latest=datetime.fromisoformat(request["latest"]),
            limit=request["limit"],
            progress=progress,
        )
    except BadInputError as error:
        return {"refused": str(error)}
    except MemoryError:
        make_room()
        return {"out_of_memory": True}
    except OSError as error:
        if error.errno is None:
            raise
        return {"errno": error.errno}
    return {"normalized": normalized.to_json(), "missing": missing}


def _confine(request: dict[str, Any], source: Path, folder: Path) -> list[str]:
    from feature_ops.feast.diff.confinement import READABLE, refuse

    packages = [Path(path) for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path) if path]
    required, parent = request["required"], request["parent"]
    return list(refuse([*READABLE, *packages, source], folder, required=required, parent=parent))


def _limit(request: dict[str, Any]) -> None:
    from feature_ops.feast.diff.confinement import limit_resources

    # The output has no dictionaries, and a number per row more than the source.
    size = 2 * request["limit"] // _MIB + 64
    limit_resources(request["memory"] // _MIB, size, request["seconds"])


if __name__ == "__main__":
    main()

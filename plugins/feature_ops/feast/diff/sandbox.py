"""
The process in which a repository's code runs; started by path, by :mod:`feature_ops.feast.diff.loading`.

It imports Feast once, then forks once per folder. The fork confines itself, runs the repository's
code and answers with protobuf messages; this process, which never runs that code, turns them into
definitions. What a fork answers is data, and is checked like any input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_MAX_ANSWER = 64 * 1024 * 1024
_TAIL = 2000


def main() -> None:
    """Read the request from standard input, answer into the file descriptor of the first argument."""
    answer = int(sys.argv[1])
    os.set_inheritable(answer, False)
    request = json.load(sys.stdin)
    sys.path.append(request["packages"])
    import feast.repo_operations  # noqa: F401

    result = {
        label: _load(Path(folder), request["project"].get(label, ""), request, answer)
        for label, folder in request["folders"].items()
    }
    with os.fdopen(answer, "w") as file:
        json.dump(result, file)


def _load(folder: Path, project: str, request: dict[str, Any], answer: int) -> dict[str, Any]:
    output = os.open(request["scratch"], os.O_TMPFILE | os.O_RDWR, 0o600)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        os.close(reading)
        _run_foreign(folder, project, request, writing, output)
    os.close(writing)
    text, late = _read(reading, time.monotonic() + request["limits"]["seconds"])
    if late:
        # Its handler for this signal writes down where it is.
        os.kill(child, signal.SIGUSR1)
        time.sleep(0.2)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    tail = _tail(output)
    os.close(output)
    return _judged(text, late, status, tail)


def _judged(text: bytes, late: bool, status: int, tail: str) -> dict[str, Any]:
    if not late:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(text)
            if "error" in found:
                return {"error": {key: str(value) for key, value in found["error"].items()}, "output": tail}
            return {"definitions": _definitions(found)}
    ended = "late" if late else f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ""
    return {"error": {"kind": "ended", "text": ended, "code": str(os.WEXITSTATUS(status))}, "output": tail}


def _definitions(found: dict[str, Any]) -> dict[str, Any]:
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.feast.diff.describe import describe

    read = Definitions.from_json({**found, "objects": {}})
    return describe(
        read.project, read.protos, functions=found["functions"], incomplete=read.incomplete
    ).to_json()


def _read(pipe: int, deadline: float) -> tuple[bytes, bool]:
    """Return what comes through a pipe until its end, and whether the end came too late."""
    import select

    parts: list[bytes] = []
    size = 0
    with os.fdopen(pipe, "rb", buffering=0) as file:
        while size < _MAX_ANSWER:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([file], [], [], left)[0]:
                return b"", True
            part = file.read(1 << 20)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts), False


def _tail(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, _TAIL, max(0, size - _TAIL)).decode(errors="replace")


def _run_foreign(folder: Path, project: str, request: dict[str, Any], answer: int, output: int) -> None:
    """Never returns."""
    code = 1
    try:
        from feature_ops.feast.diff.foreign import answer_for

        code = answer_for(folder, project, request, answer, output)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()

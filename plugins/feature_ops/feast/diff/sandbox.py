"""
The process in which a repository's code runs; started by path, by :mod:`feature_ops.feast.diff.readings`.

It imports Feast once, then forks once per folder. The fork confines itself, runs the repository's
code and answers with protobuf messages; this process, which never runs that code, turns them into
definitions. What a fork answers is data, and is checked like any input.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_MAX_ANSWER = 64 * 1024 * 1024
_TAIL = 4000
# A fork's files may take as much as so many of the largest, and it may have so many threads.
_FILES, _MAX_THREADS = 4, 64 + 2 * (os.cpu_count() or 1)
_CHECK_SECONDS = 0.2


def main() -> None:
    """
    Read the request from standard input and answer into a file descriptor.

    Arguments: the descriptor for the answer, and one that comes to its end when the caller is gone.
    """
    answer, lifeline = int(sys.argv[1]), int(sys.argv[2])
    request = json.load(sys.stdin)
    # First: the environment may have another copy of the package installed.
    sys.path.insert(0, request["packages"])
    missing = _missing_features(request)
    # Once, and before each fork, what every fork needs.
    from feature_ops.feast.importing import import_feast_for_definitions

    import_feast_for_definitions()
    import feast.repo_operations  # noqa: F401

    import feature_ops.feast.diff.answers
    import feature_ops.feast.diff.describe
    import feature_ops.feast.diff.foreign  # noqa: F401

    request["parent"] = os.getpid()
    result = {label: _load(folder, request, lifeline) for label, folder in request["folders"].items()}
    for loaded in result.values():
        if "definitions" in loaded:
            # A fork that ran untrusted code can add to the list, and not shorten it.
            loaded["open"] = list(dict.fromkeys([*missing, *loaded["open"]]))
    with os.fdopen(answer, "w") as file:
        json.dump(result, file)


def _missing_features(request: dict[str, Any]) -> list[str]:
    """Return the features that this machine lacks; called while the process is small, before any fork."""
    from feature_ops.feast.diff.confinement import READABLE, refuse
    from feature_ops.sandbox.features import SandboxError
    from feature_ops.sandbox.trial import try_out

    def enter(parent: int) -> list[str]:
        writable, required = Path(request["scratch"]), request["required"]
        return list(refuse(READABLE, writable, required=required, parent=parent))

    try:
        return try_out(enter)
    except SandboxError as error:
        sys.exit(str(error))


def _load(folder: dict[str, str], request: dict[str, Any], lifeline: int) -> dict[str, Any]:
    scratch = tempfile.mkdtemp(dir=request["scratch"])
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as trace:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _run_foreign({**request, **folder, "scratch": scratch}, writing, output, trace)
        os.close(writing)
        deadline = time.monotonic() + request["limits"]["seconds"]

        def uses_too_much() -> str:
            return _excess(child, Path(scratch), request["limits"])

        text, stopped = _read(reading, lifeline, deadline, uses_too_much)
        if stopped:
            _ask_where(child, trace)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        judged = _judged(text, stopped, status, folder["project"])
        if judged.get("error", {}).get("kind") == "ended":
            judged["error"].update(_place(trace, folder["path"]))
        return {**judged, "output": _tail(output)}


def _run_foreign(request: dict[str, Any], answer: int, output: IO[bytes], trace: IO[bytes]) -> None:
    """Never returns."""
    leave = os._exit
    try:
        from feature_ops.feast.diff.foreign import answer_for

        answer_for(request, answer, output.fileno(), trace.fileno())
    finally:
        leave(0)


def _excess(child: int, scratch: Path, limits: dict[str, Any]) -> str:
    """Return what a fork uses too much of, as far as the kernel does not limit it; empty if nothing."""
    from feature_ops.sandbox.usage import disk_usage, thread_count

    disk = limits["file_mb"] * _FILES << 20
    if disk_usage(scratch, child, disk) > disk:
        return "disk"
    return "threads" if thread_count(child) > _MAX_THREADS else ""


def _read(pipe: int, lifeline: int, deadline: float, uses_too_much: Callable[[], str]) -> tuple[bytes, str]:
    """Return what comes through a pipe until its end, and why it was not waited for; empty if it came."""
    parts: list[bytes] = []
    size = 0
    with os.fdopen(pipe, "rb", buffering=0) as file:
        while size <= _MAX_ANSWER:
            left = deadline - time.monotonic()
            ready = select.select([file.fileno(), lifeline], [], [], max(0.0, min(left, _CHECK_SECONDS)))[0]
            if lifeline in ready:
                # Nobody waits for the answer any more, or will clean up. The fork ends with this process.
                scratch = Path.cwd()
                shutil.rmtree(scratch, ignore_errors=True)
                with suppress(OSError):  # not empty until the last of the processes has removed its own
                    scratch.parent.rmdir()
                os.killpg(0, signal.SIGKILL)
            if stopped := uses_too_much() or ("late" if left <= 0 else ""):
                return b"", stopped
            if not ready:
                continue
            part = file.read(1 << 20)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts), ""


def _ask_where(child: int, trace: IO[bytes]) -> None:
    """Let a process write down which line it is at: its handler for this signal does no more."""
    os.kill(child, signal.SIGUSR1)
    patience = time.monotonic() + 2
    while os.fstat(trace.fileno()).st_size == 0 and time.monotonic() < patience:
        time.sleep(0.02)


def _judged(text: bytes, stopped: str, status: int, project: str) -> dict[str, Any]:
    if stopped:
        return {"error": {"kind": "ended", "text": stopped}}
    if len(text) > _MAX_ANSWER:
        return {"error": {"kind": "ended", "text": "large"}}
    if not text:
        signalled = os.WIFSIGNALED(status)
        number = os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
        return {"error": {"kind": "ended", "text": f"{'signal' if signalled else 'exit code'} {number}"}}
    return _read_answer(text, project)


def _read_answer(text: bytes, project: str) -> dict[str, Any]:
    from feature_ops.feast.diff.answers import NotAnAnswerError, read_answer

    try:
        answer = read_answer(text)
    except NotAnAnswerError:
        return {"error": {"kind": "ended", "text": "forged"}}
    if "error" in answer:
        return answer
    try:
        return {"definitions": _definitions(answer, project), "open": answer["open"]}
    except Exception as error:  # of Feast, protobuf or describe: the messages may be anything
        return {"error": {"kind": "objects", "text": str(error)[:_TAIL] or type(error).__name__}}


def _definitions(found: dict[str, Any], project: str) -> dict[str, Any]:
    """
    Derive the definitions from the messages of a fork, which may hold anything.

    :param project: what ``feature_store.yaml`` calls the project; empty if it does not say.
    """
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.feast.diff.describe import describe
    from feature_ops.feast.diff.function_text import function_problems
    from feature_ops.feast.diff.messages import InconsistentMessageError, check_messages

    read = Definitions.from_json({**found, "objects": {}})
    if project not in ("", read.project):
        raise InconsistentMessageError(f"it names the project {read.project!r}, not {project!r}")
    check_messages(read.project, read.protos)
    incomplete = (*read.incomplete, *function_problems(read.protos))
    return describe(
        read.project,
        read.protos,
        functions={name: _reported(function) for name, function in found["functions"].items()},
        incomplete=dict.fromkeys(incomplete),
    ).to_json()


def _reported(function: dict[str, Any]) -> dict[str, Any]:
    """Return what a fork reports about a function beyond its text, if it has the right shape."""
    if not isinstance(function.get("uses"), dict):
        return {}
    return {name: function[name] for name in ("uses", "code") if name in function}


def _place(trace: IO[bytes], folder: str) -> dict[str, str]:
    """Return the innermost line of the folder's own code that a dump of Python's frames names."""
    trace.seek(0)
    for file, line in re.findall(r'File "([^"]+)", line (\d+)', trace.read(1 << 20).decode(errors="replace")):
        if Path(file).is_relative_to(folder):
            return {"file": os.path.relpath(file, folder), "line": line}
    return {}


def _tail(output: IO[bytes]) -> str:
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")


if __name__ == "__main__":
    main()

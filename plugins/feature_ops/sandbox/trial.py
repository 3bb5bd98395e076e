"""Enter a sandbox in a fork that does nothing else, to learn what the machine lacks before it is needed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from feature_ops.sandbox.features import SandboxError


def try_out(enter: Callable[[int], list[str]]) -> list[str]:
    """
    Return what entering a sandbox reports as missing. The current process stays as it is.

    :param enter: enters the sandbox; gets the number of the parent process.
    :raises SandboxError: with the message of what failed.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _report(enter, parent, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        text = file.read()
    os.waitpid(child, 0)
    report = json.loads(text or '{"failed": "it ends the process that enters it"}')
    if "failed" in report:
        raise SandboxError(report["failed"])
    missing: list[str] = report["missing"]
    return missing


def _report(enter: Callable[[int], list[str]], parent: int, writing: int) -> None:
    """Write what entering reports; never returns."""
    try:
        try:
            report: dict[str, object] = {"missing": enter(parent)}
        except Exception as error:  # reported by the caller
            report = {"failed": str(error) or type(error).__name__}
        os.write(writing, json.dumps(report).encode())
    finally:
        os._exit(0)

"""
Loads feature repositories without trusting them: their code runs in a confined process.

:func:`load` is what callers use; ``docs/diff.md`` says what the confinement promises.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions

_PACKAGES = Path(__file__).parents[3]
_SANDBOX = Path(__file__).with_name("sandbox.py")
_START_SECONDS = 120.0


class DefinitionsError(BadInputError):
    """A feature repository can't be loaded; the message names commit, file, line and remedy."""


@dataclass(frozen=True)
class Limits:
    """
    What a repository's code may use.

    :param seconds: time for one folder, without Feast's own import.
    :param memory_mb: memory beyond what Feast itself has taken, in MiB.
    :param file_mb: size of any file that it writes, in MiB.
    """

    seconds: float = 60.0
    memory_mb: int = 2048
    file_mb: int = 64


def load(folders: Mapping[str, Path], *, limits: Limits | None = None) -> dict[str, Definitions]:
    """
    Return what each folder defines, by label.

    :param folders: label (a commit, say; it is what messages call the folder) → folder of a feature
        repository, with its ``feature_store.yaml``, of which only the project's name is read.
    :param limits: what each folder's code may use.
    :raises DefinitionsError: if a folder does not load; names the first one that does not.
    """
    limits = limits or Limits()
    resolved = {label: folder.resolve() for label, folder in folders.items()}
    projects = {label: _project(label, folder) for label, folder in resolved.items()}
    with tempfile.TemporaryDirectory(prefix="feature-definitions-") as scratch:
        request = {
            "packages": str(_PACKAGES),
            "folders": {label: str(folder) for label, folder in resolved.items()},
            "project": projects,
            "limits": asdict(limits),
            "scratch": scratch,
        }
        answer = _ask(request, scratch, _START_SECONDS + limits.seconds * len(folders))
    return {label: _result(label, answer[label], limits) for label in folders}


def _project(label: str, folder: Path) -> str:
    import yaml

    file = folder / "feature_store.yaml"
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        return ""
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DefinitionsError(f"{label}: feature_store.yaml{line} is not YAML: correct it") from None
    return str(content.get("project") or "") if isinstance(content, dict) else ""


def _ask(request: dict[str, Any], scratch: str, seconds: float) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", str(_SANDBOX), str(writing)],
        env=_environment(scratch),
        cwd=scratch,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    try:
        return _answer(child, request, reading, seconds)
    finally:
        os.close(reading)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _answer(
    child: subprocess.Popen[bytes], request: dict[str, Any], reading: int, seconds: float
) -> dict[str, Any]:
    from threading import Thread

    parts: list[bytes] = []

    def read() -> None:
        while part := os.read(reading, 1 << 20):
            parts.append(part)

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        _, errors = child.communicate(json.dumps(request).encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise DefinitionsError(f"the definitions were not read within {seconds:.0f} s") from None
    reader.join(10)
    try:
        answer: dict[str, Any] = json.loads(b"".join(parts))
    except ValueError:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason was given"]
        raise RuntimeError(f"the process that reads definitions failed: {last[0]}") from None
    return answer


def _environment(scratch: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": scratch,
        "TMPDIR": scratch,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Feast otherwise reports its use over the network.
        "FEAST_USAGE": "False",
    }


def _result(label: str, answer: Mapping[str, Any], limits: Limits) -> Definitions:
    if "definitions" in answer:
        return Definitions.from_json(answer["definitions"])
    raise DefinitionsError(_message(label, answer, limits))


def _message(label: str, answer: Mapping[str, Any], limits: Limits) -> str:
    error = answer["error"]
    where = f"{error['file']}:{error['line']}" if error.get("file") else ""
    said = answer.get("output", "").strip()
    if error["kind"] == "ended":
        where = _last_place(said)
    message = f"{label}: {where or 'the feature repository'}: {_reason(error, limits)}"
    return f"{message}; its last output: {said[-500:]}" if said else message


def _last_place(output: str) -> str:
    found = re.findall(r'File "([^"]+)", line (\d+)', output)
    return f"{Path(found[0][0]).name}:{found[0][1]}" if found else ""


def _reason(error: Mapping[str, str], limits: Limits) -> str:
    if error.get("environment"):
        return (
            f"needs the environment variable {error['environment']}, but definitions are read without "
            "any environment: give it a default"
        )
    if error["kind"] == "ModuleNotFoundError":
        return (
            f"needs the package {error['name']}, which is not installed here: install it, "
            "or import it within the function that uses it"
        )
    if error["kind"] == "ended" and error["text"] == "late":
        return f"did not end within {limits.seconds:.0f} s: definitions must load without waiting or loops"
    if error["kind"] == "ended":
        return f"ended its process ({error['text'] or 'exit code ' + error['code']}) before it was read"
    return f"{error['kind']}: {error['text']}"

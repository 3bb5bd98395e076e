"""
Loads feature repositories without trusting them: their code runs in a confined process.

:func:`load` is what callers use; ``docs/diff.md`` says what the confinement promises.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.feast.diff.answers import read_results
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.verdict import printable
from feature_ops.masking import environment_secrets
from feature_ops.sandbox.features import log_missing

_PACKAGES = Path(__file__).parents[3]
_SANDBOX = Path(__file__).with_name("sandbox.py")
_START_SECONDS = 120.0
_OUTPUT_LINES, _OUTPUT_LENGTH = 5, 500
_MAX_CONFIGURATION = 1 << 20
# SIGSYS on Linux: the filter ended the process.
_FORBIDDEN_CALL = "signal 31"

_REASONS = {
    "EndedItselfError": "{text}: let it define objects only",
    "SystemExit": "calls sys.exit({text}): let it define objects only",
    "KeyboardInterrupt": "raises KeyboardInterrupt",
    "MemoryError": "needs more than {memory} MiB of memory: let it define objects only, and load no data",
    "PermissionError": "{text}: definitions are read without network, other processes and other files",
    "NothingDefinedError": "no file in it defines a Feast object: is it the folder of a feature repository?",
    "objects": "{text}",
}
_LOG = logging.getLogger(__name__)


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
    memory_mb: int = 1024
    file_mb: int = 64


def load(folders: Mapping[str, Path], *, limits: Limits | None = None) -> dict[str, Definitions]:
    """
    Return what each folder defines, by label.

    :param folders: label (a commit, say; it is what messages call the folder) → folder of a feature
        repository, with its ``feature_store.yaml``, of which only the project's name is read.
    :param limits: what each folder's code may use.
    :raises DefinitionsError: if a folder does not load; names the first one that does not.
    """
    found = try_load(folders, limits=limits)
    for result in found.values():
        if isinstance(result, DefinitionsError):
            raise result
    return {label: result for label, result in found.items() if isinstance(result, Definitions)}


def try_load(
    folders: Mapping[str, Path], *, limits: Limits | None = None
) -> dict[str, Definitions | DefinitionsError]:
    """
    Return what :func:`load` does, with the error in the place of what does not load.

    :raises DefinitionsError: if a ``feature_store.yaml`` is not YAML.
    """
    from feature_ops.settings import get_settings

    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="feature-definitions-") as scratch:
        request = {
            "packages": str(_PACKAGES),
            "folders": {
                label: {"path": str(folder.resolve()), "project": _project(label, folder)}
                for label, folder in folders.items()
            },
            "limits": asdict(limits),
            "scratch": scratch,
            "required": list(get_settings().sandbox_required),
        }
        answer = _ask(request, scratch, _START_SECONDS + limits.seconds * len(folders))
    for label in folders:
        log_missing(answer[label].get("open"))
    return {
        label: _result(label, _with_relative_paths(answer[label], folder, scratch), limits)
        for label, folder in folders.items()
    }


def _with_relative_paths(answer: Mapping[str, Any], folder: Path, scratch: str) -> dict[str, Any]:
    """Return an answer whose texts for users name the repository's files by relative paths."""

    def relative(text: str) -> str:
        return _relative_paths(text, folder, scratch)

    found = dict(answer)
    if "error" in found:
        found["error"] = {key: relative(text) for key, text in found["error"].items()}
    if "output" in found:
        found["output"] = relative(found["output"])
    if "definitions" in found:
        incomplete = [relative(text) for text in found["definitions"].get("incomplete", ())]
        found["definitions"] = {**found["definitions"], "incomplete": incomplete}
    return found


def _relative_paths(text: str, folder: Path, scratch: str) -> str:
    """Return a text without the path of the repository's folder, which users do not know."""
    for place in {str(folder.resolve()), str(folder.absolute())}:
        text = re.sub(rf"{re.escape(place)}(/|(?![\w-]))", lambda found: "" if found[1] else ".", text)
    # The code's own scratch folder is one level deeper.
    return re.sub(rf"{re.escape(scratch)}(?:/tmp\w+)?(?:/|(?![\w-]))", "", text)


def _project(label: str, folder: Path) -> str:
    import yaml

    file = folder / "feature_store.yaml"
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        return ""
    try:
        content = yaml.safe_load(file.read_bytes()[:_MAX_CONFIGURATION])
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DefinitionsError(f"{label}: feature_store.yaml{line} is not YAML: correct it") from None
    name = str(content.get("project") or "") if isinstance(content, dict) else ""
    # Then the repository's own Project object must say it.
    return "" if "$" in name else name


def _ask(request: dict[str, Any], scratch: str, seconds: float) -> Mapping[str, Any]:
    """Run the process that reads definitions, and return what it answers for each label."""
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        lifeline, held = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_SANDBOX), str(answer.fileno()), str(lifeline)],
            env=_environment(scratch),
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[answer.fileno(), lifeline],
            start_new_session=True,
        )
        try:
            child.communicate(json.dumps(request).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            raise FeatureOpsError(
                f"the definitions were not read within {seconds:.0f} s: is this machine overloaded?"
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            os.close(lifeline)
            os.close(held)
        return _answer(answer, errors, request["folders"])


def _answer(answer: IO[bytes], errors: IO[bytes], labels: Collection[str]) -> Mapping[str, Any]:
    answer.seek(0)
    errors.seek(0)
    try:
        return read_results(answer.read(), labels)
    except ValueError:
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
        raise FeatureOpsError(
            f"the process that reads definitions failed: {''.join(last) or 'it was killed'}"
        ) from None


def _environment(scratch: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": scratch,
        "TMPDIR": scratch,
        # Whoever asks for the user's name otherwise looks into /etc.
        "USER": "nobody",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Feast otherwise reports its use over the network.
        "FEAST_USAGE": "False",
    }


def _result(label: str, answer: Mapping[str, Any], limits: Limits) -> Definitions | DefinitionsError:
    if "definitions" in answer:
        try:
            return Definitions.from_json(answer["definitions"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return DefinitionsError(f"{label}: its definitions can't be read: {_clean(str(error))}")
    return DefinitionsError(_message(label, answer, limits))


def _message(label: str, answer: Mapping[str, Any], limits: Limits) -> str:
    # All of it was written by a stranger.
    error = {key: _clean(text) for key, text in answer["error"].items()}
    where = f"{error['file']}:{error['line']}: " if error.get("file") else ""
    said = _shortened(answer.get("output", ""))
    message = f"{label}: {where}{_reason(error, limits)}"
    return f"{message}. Its last output: {said}" if said else message


def _shortened(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    text = printable(" | ".join(lines[-_OUTPUT_LINES:]), tuple(environment_secrets()))
    return text if len(text) <= _OUTPUT_LENGTH else f"…{text[-_OUTPUT_LENGTH:]}"


def _clean(text: str) -> str:
    line = printable(text, tuple(environment_secrets()))
    return line if len(line) <= _OUTPUT_LENGTH else f"{line[:_OUTPUT_LENGTH]}…"


def _reason(error: Mapping[str, str], limits: Limits) -> str:
    kind, text = error["kind"], error["text"]
    if error.get("environment"):
        return (
            f"needs the environment variable {error['environment']}, but definitions are read without "
            "any environment: give it a default, or keep addresses in feature_store.yaml"
        )
    if error.get("link"):
        link, _, target = error["link"].partition(" → ")
        return (
            f"{link} is a symbolic link to {target}, which cannot be read: definitions are read without "
            "files outside of the feature repository; put the file itself there"
        )
    if kind == "ModuleNotFoundError":
        return (
            f"imports {error['name']}, which is neither a file of the feature repository nor an installed "
            "package: add the file to the commit, install the package, or import it within the function that "
            "uses it"
        )
    if kind == "ended":
        return _ended(text, limits)
    if kind in _REASONS:
        return _REASONS[kind].format(text=text, memory=limits.memory_mb)
    return f"{kind}: {text}"


def _ended(how: str, limits: Limits) -> str:
    if how == _FORBIDDEN_CALL:
        return "used a system call that no feature definition needs: let it define objects only"
    if how == "late":
        return f"did not end within {limits.seconds:.0f} s: definitions must load without loops and waiting"
    if how == "disk":
        return f"wrote more than {4 * limits.file_mb} MiB of files: let it define objects only"
    if how == "threads":
        return "started too many threads: let it define objects only"
    if how == "forged":
        return "its answer can't be read: did it write into files that it did not open?"
    if how == "large":
        return "its definitions are too large"
    return f"ended its own process ({how}) before its definitions were read: let it define objects only"

"""
Load feature repositories without trusting them: their code runs in a sandbox, twice.

:func:`load` is what callers use. ``docs/diff.md`` says what the sandbox promises.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.conditions import CONDITIONS
from feature_ops.feast.diff.definitions import Definitions, first_difference
from feature_ops.feast.diff.inputs import copy_inputs
from feature_ops.feast.diff.readings import run_readings
from feature_ops.feast.diff.verdict import printable
from feature_ops.masking import environment_secrets
from feature_ops.sandbox.features import log_missing

_PACKAGES = Path(__file__).parents[3]
_START_SECONDS = 120.0
_OUTPUT_LINES, _OUTPUT_LENGTH = 5, 500
_MAX_CONFIGURATION = 1 << 20
# SIGSYS on Linux: the filter ended the process.
_FORBIDDEN_CALL = "signal 31"

_REMEDY = (
    "Definitions may not depend on time, random numbers, the machine, the order of sets or directories, or "
    "the folder that they are read from: use constants"
)
# Limits that a slow machine reaches in one of two readings.
_OF_THE_MACHINE = ("did not end within", "MiB of memory")

_REASONS = {
    "EndedItselfError": "{text}: let it define objects only",
    "SystemExit": "calls sys.exit({text}): let it define objects only",
    "KeyboardInterrupt": "raises KeyboardInterrupt",
    "MemoryError": "needs more than {memory} MiB of memory: let it define objects only, and load no data",
    "PermissionError": "{text}: definitions are read without network, other processes and other files",
    "NothingDefinedError": "no file in it defines a Feast object: is it the folder of a feature repository?",
    "objects": "{text}",
}


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
    projects = {label: _project(label, folder) for label, folder in folders.items()}
    with tempfile.TemporaryDirectory(prefix="feature-definitions-") as scratch:
        readings = [
            _Reading(Path(scratch, str(number)), conditions, folders)
            for number, conditions in enumerate(CONDITIONS)
        ]
        required = get_settings().sandbox_required
        requests = [reading.request(projects, limits, required) for reading in readings]
        answers = run_readings(requests, _START_SECONDS + limits.seconds * len(folders))
        for label in folders:
            log_missing(answers[0][label].get("open"))
        return {
            label: _agreed(
                label,
                *(
                    _result(label, reading.with_relative_paths(answer[label], label), limits)
                    for reading, answer in zip(readings, answers, strict=True)
                ),
            )
            for label in folders
        }


def _agreed(
    label: str, first: Definitions | DefinitionsError, second: Definitions | DefinitionsError
) -> Definitions | DefinitionsError:
    """Return what both readings of a repository have in common: all of it, or an error."""
    if isinstance(first, DefinitionsError):
        return first
    if isinstance(second, DefinitionsError):
        if any(words in str(second) for words in _OF_THE_MACHINE):
            return second
        told = str(second).removeprefix(f"{label}: ")
        return DefinitionsError(f"{label}: not deterministic: the second reading failed: {told}. {_REMEDY}")
    found = first_difference(first, second)
    return DefinitionsError(f"{label}: not deterministic: {_clean(found)}. {_REMEDY}") if found else first


class _Reading:
    """
    One of the two readings of all folders.

    :param scratch: a folder of its own, made here.
    :param conditions: one of :data:`feature_ops.feast.diff.conditions.CONDITIONS`.
    """

    def __init__(self, scratch: Path, conditions: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
        self.scratch, self.conditions = scratch, conditions
        self.copies = {label: scratch / f"repository{number}" for number, label in enumerate(folders)}
        scratch.mkdir()
        for label, copy in self.copies.items():
            copy_inputs(folders[label].resolve(), copy, conditions["now"])

    def request(self, projects: Mapping[str, str], limits: Limits, required: Sequence[str]) -> dict[str, Any]:
        """
        Return what the process is to read.

        :param required: features of the sandbox without which no code is to run.
        """
        return {
            "packages": str(_PACKAGES),
            "folders": {
                label: {"path": str(copy.resolve()), "project": projects[label]}
                for label, copy in self.copies.items()
            },
            "limits": asdict(limits),
            "scratch": str(self.scratch),
            "conditions": dict(self.conditions),
            "required": list(required),
        }

    def with_relative_paths(self, answer: Mapping[str, Any], label: str) -> dict[str, Any]:
        """Return an answer without the paths of this reading's folders."""
        return _with_relative_paths(answer, self.copies[label], str(self.scratch))


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
    except Exception as error:  # a tag, a date or a number may raise anything
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DefinitionsError(f"{label}: feature_store.yaml{line} is not YAML: correct it") from None
    name = content.get("project") if isinstance(content, dict) else None
    # Else the repository's own Project object must say it. Aliases can make anything but text very large.
    return name if isinstance(name, str) and "$" not in name else ""


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

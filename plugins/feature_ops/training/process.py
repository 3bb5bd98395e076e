"""Run a training as a confined process on this worker, for deployments without a cluster."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.known_secrets import masker, variants
from feature_ops.sandbox.features import SandboxError, log_missing
from feature_ops.training.confinement import Access

log = logging.getLogger(__name__)

_GUARD = Path(__file__).with_name("guard.py")
# Where a training finds what it uses of this package: Feast's import, and the offline store if it is ours.
_PACKAGE = Path(__file__).parents[2]
# EX_DATAERR of sysexits.h: the training reports that its input is wrong, so that a retry can't help.
DATA_ERROR = 65
_KEPT = ("PATH", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_FILES_IN_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
# Characters of a line that are logged; the rest of it is read and left out.
_LINE = 1 << 16
_FOLDERS_OF_PYTHON = """
import json, site, sys
own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
print(json.dumps([site.getuserbase(), sys.prefix, sys.base_prefix, sys.exec_prefix, *own]))
"""


def run_in_process(
    command: Sequence[str],
    code: Path,
    environment: Mapping[str, str],
    secrets: Iterable[str],
    timeout: float,
    python: str = sys.executable,
    *,
    scratch: Path,
    ports: Iterable[int] = (),
    readable: Iterable[Path] = (),
    required: Sequence[str] = (),
) -> None:
    """
    Run a training command, its output line by line in the task's log.

    It can read its code and the Python environment, write to its scratch folder and connect to the given
    ports. It ends with the task, with all that it started, also when the task is killed.

    :param command: what follows the Python interpreter.
    :param code: folder that the command's modules are in.
    :param environment: the variables that it needs; it gets nothing else of this process's environment.
    :param secrets: values that are masked in its output.
    :param timeout: seconds before it is ended.
    :param python: the interpreter that has the model's packages.
    :param scratch: an empty folder, the only one that it can write to; its home and temporary folder.
    :param ports: TCP ports that it may connect to.
    :param readable: files and folders that it may read in addition, such as ``/dev/nvidia0``.
    :param required: features of the sandbox without which it is not started.
    :raises BadInputError: it ended with :data:`DATA_ERROR`; the message has its last line.
    :raises FeatureOpsError: it failed otherwise.
    :raises SandboxError: this machine lacks a required feature of the sandbox; it was not started.
    """
    mask = masker(variant for secret in secrets for variant in variants(secret))
    reading, writing = os.pipe()
    _, *folders = python_folders(python)
    access = Access(
        programs=[*folders, str(_PACKAGE), str(code)],
        readable=[str(path) for path in (*_certificates(), *readable)],
        scratch=str(scratch),
        ports=sorted(set(ports)),
        required=list(required),
    )
    child = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", "-B", str(_GUARD), json.dumps(access.to_json()), str(writing)),
            *(python, "-u", *command),
        ],
        cwd=code,
        env=_environment(code, scratch, python, environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[writing],
        # A signal to the task's group must not reach the process that ends the training.
        start_new_session=True,
    )
    os.close(writing)
    late = threading.Timer(timeout, child.terminate)
    last = ""
    try:
        late.start()
        _report(reading)
        assert child.stdout is not None
        for line in _lines(child.stdout):
            last = mask(line)
            log.info("train: %s", last)
        child.wait()
        in_time = late.is_alive()
    finally:
        late.cancel()
        if child.poll() is None:
            child.terminate()
            child.wait()
    _raise_for(child.returncode, last, None if in_time else timeout)


def _raise_for(code: int, last: str, timeout: float | None) -> None:
    """Raise what a training's exit code means; nothing if it succeeded."""
    said = last[:400] or "it printed nothing"
    if code == 0:
        return
    if code == DATA_ERROR:
        raise BadInputError(f"the training can't be done: {said}; see the log above")
    if timeout is not None:
        raise FeatureOpsError(f"the training did not end within {timeout:.0f} s: {said}; see the log above")
    raise FeatureOpsError(f"the training failed with {code}: {said}; see the log above")


def _certificates() -> Iterator[Path]:
    for name in _FILES_IN_VARIABLES:
        if name in os.environ:
            yield Path(os.environ[name])


def _environment(code: Path, scratch: Path, python: str, environment: Mapping[str, str]) -> dict[str, str]:
    user_base = python_folders(python)[0]
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PYTHONPATH": os.pathsep.join([str(code), str(_PACKAGE)]),
        "PYTHONUSERBASE": user_base,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        # Libraries ask for a user's name; the list of users is not readable.
        "USER": "training",
        "LOGNAME": "training",
        # Names of hosts are asked for by TCP: there is no UDP.
        "RES_OPTIONS": "use-vc",
        **environment,
    }


@lru_cache
def python_folders(python: str) -> tuple[str, ...]:
    """Return an interpreter's user base, and the folders of its environment and of that one's base."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [python, "-c", _FOLDERS_OF_PYTHON],
            cwd="/",
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BadInputError(
            f"the interpreter {python} can't be started ({type(error).__name__}): correct "
            "FEATURE_OPS_TRAINING_PYTHON"
        ) from None
    user_base, *folders = json.loads(done.stdout)
    # An interpreter at the root of the file system would open everything.
    return user_base, *dict.fromkeys(folder for folder in folders if Path(folder).parent != Path(folder))


def _report(reading: int) -> None:
    """Log what this machine can't refuse, as the guard reports it."""
    with os.fdopen(reading, "rb") as file:
        text = file.readline()
    report: dict[str, Any] = json.loads(text or "{}")
    if "failed" in report:
        raise SandboxError(report["failed"])
    log_missing(report.get("missing"))
    if not report.get("shared_memory"):
        log.info("The training has no shared memory of its own: joblib uses threads instead of processes")


def _lines(output: IO[bytes]) -> Iterator[str]:
    """Yield lines of untrusted output: printable, and no longer than is logged."""
    continued = False
    while part := output.readline(_LINE):
        complete = part.endswith(b"\n")
        if not continued:
            text = part.decode(errors="replace").rstrip()
            clean = "".join(sign if sign.isprintable() or sign == "\t" else " " for sign in text)
            if clean.strip():
                yield clean
        continued = not complete

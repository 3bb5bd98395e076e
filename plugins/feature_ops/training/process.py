"""A place to train: a process on this worker, for where there is no cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from feature_ops.exceptions import BadInputError, FeatureOpsError

log = logging.getLogger(__name__)

_GUARD = Path(__file__).with_name("guard.py")
# Where a training finds what it uses of this package: Feast's import, and the offline store if it is ours.
_PACKAGE = Path(__file__).parents[2]
# EX_DATAERR of sysexits.h: what the training says of an input that trying again would not mend.
DATA_ERROR = 65
_KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


def run_in_process(
    command: Sequence[str],
    code: Path,
    environment: Mapping[str, str],
    secrets: Iterable[str],
    timeout: float,
    python: str = sys.executable,
) -> None:
    """
    Run a training command, its output line by line in the task's log.

    It ends with the task, also when that is killed, and has nothing of Airflow's environment.

    :param command: what follows the Python interpreter.
    :param code: folder that the command's modules are in.
    :param environment: the variables that it needs.
    :param secrets: what must not show in the log.
    :param timeout: seconds before it is ended.
    :param python: the interpreter that has the model's packages.
    :raises BadInputError: it ended with :data:`DATA_ERROR`; the message has its last line.
    :raises FeatureOpsError: it failed otherwise; the message has its last line.
    """
    hidden = sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    child = subprocess.Popen(
        [sys.executable, str(_GUARD), python, "-u", *command],
        cwd=code,
        env={
            **kept,
            "PYTHONPATH": os.pathsep.join([str(code), str(_PACKAGE)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = ""
    try:
        import threading

        late = threading.Timer(timeout, child.terminate)
        late.start()
        assert child.stdout is not None
        for line in child.stdout:
            clean = line.rstrip()
            for secret in hidden:
                clean = clean.replace(secret, "***")
            if clean:
                last = clean
                log.info("train: %s", clean)
        child.wait()
        in_time = late.is_alive()
        late.cancel()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    if child.returncode == DATA_ERROR:
        raise BadInputError(
            f"the training can't be done: {last[:400] or 'it said nothing'}; see the log above"
        )
    if child.returncode:
        how = f"failed with {child.returncode}" if in_time else f"did not end within {timeout:.0f} s"
        raise FeatureOpsError(f"the training {how}: {last[:400] or 'it said nothing'}; see the log above")

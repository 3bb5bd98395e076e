"""Start the process that applies definitions, and tell what came of it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError, FeatureOpsError, SupersededError
from feature_ops.feast.apply_process import Applied, ApplyRequest

log = logging.getLogger(__name__)

_PACKAGES = Path(__file__).resolve().parents[2]
_MODULE = "feature_ops.feast.apply_process"
# What any process needs to find programs and trust certificates; nothing of Airflow's.
_KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_LINES_TOLD = 5


def run_apply(request: ApplyRequest, environment: Mapping[str, str], secrets: Iterable[str]) -> Applied:
    """
    Apply in a process of its own and return what it did.

    :param environment: the variables that Feast needs.
    :param secrets: what must not show in a log or an error.
    :raises BadInputError: what is to be applied can't be; nothing was changed.
    :raises FeatureOpsError: a server did not do its part; the next try completes what was begun.
    """
    # Shorter ones would blot out ordinary words.
    hidden = sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True)
    reading, writing = os.pipe()
    with os.fdopen(reading) as answers:
        child = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(writing)],
            env=_environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            start_new_session=True,
            text=True,
        )
        os.close(writing)
        try:
            tail = _tell(child, hidden)
            assert child.stdin is not None
            _send(child, request.to_json())
            text = answers.read()
            child.wait()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            tail.join(timeout=10)
    return _result(text, child.returncode, tail.lines, hidden)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(_PACKAGES), "PYTHONDONTWRITEBYTECODE": "1", **variables}


def _send(child: subprocess.Popen[str], text: str) -> None:
    assert child.stdin is not None
    try:
        with child.stdin as pipe:
            pipe.write(text)
    except BrokenPipeError:
        # It ended before it read all; what it said last tells why.
        log.debug("the process ended early")


class _Teller(threading.Thread):
    """Passes the process's output on to the task's log, and keeps its last lines."""

    def __init__(self, child: subprocess.Popen[str], hidden: list[str]) -> None:
        super().__init__(daemon=True)
        self._child, self._hidden = child, hidden
        self.lines: list[str] = []

    def run(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            clean = _scrubbed(line.rstrip(), self._hidden)
            if clean:
                self.lines = [*self.lines[1 - _LINES_TOLD :], clean]
                log.info("feast: %s", clean)


def _tell(child: subprocess.Popen[str], hidden: list[str]) -> _Teller:
    teller = _Teller(child, hidden)
    teller.start()
    return teller


def _scrubbed(text: str, hidden: list[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def _result(text: str, code: int, tail: list[str], hidden: list[str]) -> Applied:
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        answer = {}
    if "applied" in answer:
        return Applied(**answer["applied"])
    if "superseded" in answer:
        raise SupersededError(_scrubbed(answer["superseded"], hidden))
    if "refused" in answer:
        raise BadInputError(_scrubbed(answer["refused"], hidden))
    if "failed" in answer:
        raise FeatureOpsError(_scrubbed(answer["failed"], hidden))
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    said = f"; it said last: {tail[-1][:300]}" if tail else ""
    raise FeatureOpsError(
        f"Feast could not apply the definitions: its process {how}{said}. See the log above; the next try "
        "completes what was begun"
    )

"""Start the process that applies definitions, and tell what came of it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from feature_ops.exceptions import BadInputError, FeatureOpsError, SupersededError
from feature_ops.feast.apply_process import Applied, ApplyRequest

log = logging.getLogger(__name__)

_PACKAGES = Path(__file__).resolve().parents[2]
_MODULE = "feature_ops.feast.apply_process"
# What any process needs to find programs and trust certificates; nothing of Airflow's.
_KEPT = ("PATH", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_LINES_TOLD = 5
# Characters. Of a longer line the rest is left out, and a longer answer is none.
_LONGEST_LINE, _LONGEST_ANSWER = 1 << 14, 1 << 24
_ERRORS = {"superseded": SupersededError, "refused": BadInputError, "failed": FeatureOpsError}


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
    with (
        os.fdopen(reading, errors="replace") as answers,
        tempfile.TemporaryDirectory(prefix="feature-apply-") as scratch,
    ):
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(writing)],
            env=_environment(environment, scratch),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            start_new_session=True,
            text=True,
            # Functions may print anything. If its reader failed, the process would wait for ever.
            errors="replace",
        )
        os.close(writing)
        try:
            tail = _tell(child, hidden)
            assert child.stdin is not None
            _send(child, request.to_json())
            text = answers.read(_LONGEST_ANSWER)
            if len(text) == _LONGEST_ANSWER:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            tail.join(timeout=10)
    return _result(text, child.returncode, tail.lines, hidden)


def _environment(variables: Mapping[str, str], scratch: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {
        "PYTHONPATH": str(_PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": scratch,
        # Names of hosts are resolved by TCP: the sandbox has no UDP.
        "RES_OPTIONS": "use-vc",
    }
    return {**kept, **own, **variables, "TMPDIR": scratch}


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
        for line in _lines(self._child.stdout):
            text = "".join(sign if sign.isprintable() else " " for sign in line.rstrip())
            clean = _scrubbed(text, self._hidden)
            if clean:
                self.lines = [*self.lines[1 - _LINES_TOLD :], clean]
                log.info("feast: %s", clean)


def _tell(child: subprocess.Popen[str], hidden: list[str]) -> _Teller:
    teller = _Teller(child, hidden)
    teller.start()
    return teller


def _lines(output: IO[str]) -> Iterator[str]:
    """Yield lines without what is too long of them; the whole of a line never has to fit into memory."""
    continued = False
    while part := output.readline(_LONGEST_LINE):
        if not continued:
            yield part
        continued = not part.endswith("\n")


def _scrubbed(text: str, hidden: list[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def _result(text: str, code: int, tail: list[str], hidden: list[str]) -> Applied:
    kind, content = _answer(text)
    if kind == "applied":
        return Applied(**content)
    if kind in _ERRORS:
        raise _ERRORS[kind](_scrubbed(content, hidden))
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    said = f"; it said last: {tail[-1][:300]}" if tail else ""
    raise FeatureOpsError(
        f"Feast could not apply the definitions: its process {how}{said}. See the log above; the next try "
        "completes what was begun"
    )


def _answer(text: str) -> tuple[str, Any]:
    """
    Return the kind and the content of what the process answered; ("", None) for what is no answer.

    Functions run in that process, so it may answer anything.
    """
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(answer, dict) or len(answer) != 1:
        return "", None
    ((kind, content),) = answer.items()
    if kind == "applied" and _is_applied(content):
        return kind, content
    return (kind, content) if kind in _ERRORS and isinstance(content, str) else ("", None)


def _is_applied(content: Any) -> bool:
    names = {field.name for field in fields(Applied)}
    if not isinstance(content, dict) or set(content) != names or not isinstance(content["dump_uri"], str):
        return False
    lists = [content[name] for name in names - {"dump_uri"}]
    return all(isinstance(labels, list) and all(isinstance(one, str) for one in labels) for labels in lists)

"""Start the processes that read definitions, one for each set of conditions, and collect what they report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.diff.answers import read_results

_SANDBOX = Path(__file__).with_name("sandbox.py")


def run_readings(requests: Sequence[Mapping[str, Any]], seconds: float) -> list[Mapping[str, Any]]:
    """
    Run one process per request, all at the same time, and return what each reports by label.

    :param requests: ``folders``, ``scratch``, ``packages``, ``limits``, ``conditions`` and ``required``.
    :param seconds: time for all of them.
    :raises FeatureOpsError: if a process fails, or does not end in time.
    """
    with ExitStack() as stack:
        lifeline, held = os.pipe()
        stack.callback(os.close, held)
        processes = [_Process(request, lifeline, stack) for request in requests]
        os.close(lifeline)
        deadline = time.monotonic() + seconds
        for process in processes:
            process.send()
        return [process.answer(deadline) for process in processes]


class _Process:
    """A process that reads definitions; it ends with the stack, and when this process is gone."""

    def __init__(self, request: Mapping[str, Any], lifeline: int, stack: ExitStack) -> None:
        self._request = request
        self._answer: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._errors: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._child = subprocess.Popen(
            # Isolated as by -I, which would ignore the hash seed: no user's packages, no current folder, and
            # an environment that holds no setting of Python's beside that seed.
            [sys.executable, "-s", "-P", "-B", str(_SANDBOX), str(self._answer.fileno()), str(lifeline)],
            env=_environment(request["scratch"], request["conditions"]["hash_seed"]),
            cwd=request["scratch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=[self._answer.fileno(), lifeline],
            start_new_session=True,
        )
        stack.callback(self._end)

    def send(self) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError), self._child.stdin as pipe:
            pipe.write(json.dumps(self._request).encode())

    def answer(self, deadline: float) -> Mapping[str, Any]:
        try:
            self._child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise FeatureOpsError(
                "the definitions were not read in time: is this machine overloaded?"
            ) from None
        return self._report(self._request["folders"])

    def _report(self, labels: Collection[str]) -> Mapping[str, Any]:
        self._answer.seek(0)
        self._errors.seek(0)
        try:
            return read_results(self._answer.read(), labels)
        except ValueError:
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise FeatureOpsError(
                f"the process that reads definitions failed: {''.join(last) or 'it was killed'}"
            ) from None

    def _end(self) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def _environment(scratch: str, hash_seed: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": scratch,
        "TMPDIR": scratch,
        # Code that looks up the user's name otherwise reads /etc.
        "USER": "nobody",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": hash_seed,
        # Feast otherwise reports its use over the network.
        "FEAST_USAGE": "False",
    }

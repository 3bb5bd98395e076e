"""
Run a command that ends when whoever started it ends, however that ended.

``python guard.py command ...``: standard input is a pipe that nobody writes to; when its other end is gone,
the command is killed with all that it started. Works where the kernel has no signal for a parent's death.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Return the command's exit code, negative for the signal that ended it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def kill(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def watch() -> None:
        os.read(0, 1)
        kill()

    signal.signal(signal.SIGTERM, kill)
    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # As a shell does: a signal's number above 128.
    os._exit(code if code >= 0 else 128 - code)

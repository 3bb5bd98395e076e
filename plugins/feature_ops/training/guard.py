"""
Run a training in the sandbox, and end it with all that it started when its task ends, however that ends.

``python -I guard.py ACCESS REPORT command ...``: standard input is a pipe that nobody writes to; when its
other end is closed, everything is killed. ACCESS is what the training may use, as JSON. To the file
descriptor REPORT goes a line of JSON with what this machine can't refuse.

The code of the commit never runs in this process: it starts with ``-I``, so that no variable leads it to
other modules.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# Behind the standard library, of which a folder of packages may have a namesake.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.containment import prepare, run_contained
from feature_ops.sandbox.features import SandboxError, require
from feature_ops.training import isolation
from feature_ops.training.confinement import Access
from feature_ops.training.isolation import Views


def main(access: Access, report: int, command: list[str]) -> int:
    """Return the command's exit code; 128 and the number of the signal that ended it."""
    os.set_inheritable(report, False)
    isolated = isolation.enter_namespaces()
    missing = [] if isolated else prepare()

    def start() -> None:
        views = isolation.mount_views() if isolated else Views()
        if not views.shared_memory:
            # Its semaphores can't be made: it then uses threads.
            os.environ["JOBLIB_MULTIPROCESSING"] = "0"
        try:
            require(missing, access.required)
            lacking = [*missing, *confine(access.profile(views), required=access.required)]
        except SandboxError as error:
            _tell(report, {"failed": str(error)})
            raise
        _tell(report, {"missing": lacking, "shared_memory": views.shared_memory})
        os.execvp(command[0], command)  # noqa: S606 - without a shell on purpose

    return run_contained(start, 0, missing)


def _tell(report: int, content: object) -> None:
    os.write(report, json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    os._exit(main(Access(**json.loads(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]))

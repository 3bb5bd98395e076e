"""
The commands of the READMEs, as a person types them, on a copy of the project.

Before all other tests of a run, while no other stack needs the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.made import copy_project, environment, make

pytestmark = pytest.mark.timeout(900)
READY = "Ctrl-C stops everything"


def test_make_demo_make_shell_git_clone_and_make_demo_reset(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """``make demo``, then ``git clone $JUKEBOX_GIT_URL`` in ``make shell``, Ctrl-C, ``make demo-reset``."""
    project = copy_project(tmp_path_factory.mktemp("demo"))
    demo = subprocess.Popen(
        make("demo"),
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # As in a terminal: what is started in the background by a script ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        told = list(_until_ready(demo))
        assert READY in told[-1], "".join(told)
        assert (_clone(project) / "feature_repo" / "feature_service.py").exists()
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        rest = _end(demo)
    assert f"Everything is kept in {project / '.demo'}" in rest
    done = subprocess.run(
        make("demo-reset"), cwd=project, env=environment(project), capture_output=True, text=True, check=True
    )
    assert "the next `make demo` is a first start" in done.stdout
    assert not (project / ".demo").exists()


def _end(demo: subprocess.Popen[str]) -> str:
    """Return what it says at its end; one that goes on is ended, so that no test runs beside it."""
    try:
        return demo.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        os.killpg(demo.pid, signal.SIGTERM)
        raise


def _until_ready(demo: subprocess.Popen[str]) -> Iterator[str]:
    assert demo.stdout is not None
    for line in demo.stdout:
        print(line, end="")
        yield line
        if READY in line:
            return


def _clone(project: Path) -> Path:
    target = project / "clone"
    subprocess.run(
        make("shell"),
        input=f"git clone $JUKEBOX_GIT_URL {target}\n",
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return target

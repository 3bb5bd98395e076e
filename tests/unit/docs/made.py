"""A copy of the project in which a test may call make, with nothing to be installed first."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from demo.processes import clean_environment
from tests.conftest import PROJECT

_PARTS = ("Makefile", "dags", "demo", "feature_repo", "model", "plugins")


def copy_project(folder: Path) -> Path:
    """Copy what the targets of the Makefile use; state is then kept in the copy."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in _PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, folder / part, ignore=ignored)
        else:
            shutil.copyfile(PROJECT / part, folder / part)
    return folder


def make(*arguments: str) -> list[str]:
    """Return the command that makes a target with the interpreter of the tests."""
    return ["make", "--old-file=.venv/installed", f"BIN={Path(sys.executable).parent}", *arguments]


def environment(project: Path, **variables: str) -> dict[str, str]:
    """Return the environment in which the copy finds its own code."""
    folders = (project, project / "plugins", project / "model")
    return clean_environment(
        PATH=os.environ["PATH"], PYTHONPATH=os.pathsep.join(map(str, folders)), SHELL="/bin/bash", **variables
    )

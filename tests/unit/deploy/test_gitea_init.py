"""The job that makes Gitea's user, with a stand-in of Gitea's command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

STAND_IN = PROJECT / "tests" / "compose" / "engines" / "gitea"


class Init:
    """The job in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.user, self.first = folder / "password-of-jukebox", folder / "first-password"
        self._script = folder / "gitea-init.sh"
        job = (PROJECT / "deploy" / "compose" / "gitea-init.sh").read_text()
        self._script.write_text(job.replace("/etc/gitea", str(folder)))
        command = folder / "gitea"
        program = STAND_IN.read_text().replace("/opt/engines/bin/python", sys.executable)
        command.write_text(program.replace("/var/lib/gitea", str(folder)))
        command.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        path = f"{self._folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", str(self._script)],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )


@pytest.fixture
def init(tmp_path: Path) -> Init:
    return Init(tmp_path)


def test_the_first_password_is_left_for_the_job_that_changes_it(init: Init) -> None:
    told = init.run().stdout
    assert init.first.read_text().strip() == init.user.read_text()
    # The job that reads it is another user in another container.
    assert init.first.stat().st_mode & 0o777 == 0o644
    assert init.user.read_text() not in told


def test_a_later_start_leaves_the_user_alone(init: Init) -> None:
    init.run()
    init.user.write_text("changed since")
    before = init.first.read_text()
    init.run()
    assert (init.user.read_text(), init.first.read_text()) == ("changed since", before)


def test_a_start_that_was_killed_before_it_kept_the_password_is_made_up_for(init: Init) -> None:
    init.user.write_text("nobody knows it")
    init.run()
    assert init.first.read_text().strip() == init.user.read_text() != "nobody knows it"

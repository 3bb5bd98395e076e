"""No child outlives its stack, however that ends, and nobody else's process is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from demo.errors import DemoError
from demo.processes import Processes, is_running
from demo.sessions import Session
from demo.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[3]
# A child that starts a child of its own in another process group, as Airflow's tasks do.
FAMILY = "import os,subprocess,sys,time; subprocess.Popen(['sleep','600'],process_group=0); time.sleep(600)"
SUPERVISOR = f"""
import sys, time
from pathlib import Path
from demo.processes import Processes
processes = Processes(Path(sys.argv[1]))
processes.open()
processes.start("family", [sys.executable, "-c", {FAMILY!r}])
print(processes._keeper.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    opened = Processes(tmp_path)
    opened.open()
    yield opened
    opened.close()


def start_supervisor(home: Path) -> tuple[subprocess.Popen[str], int, Session]:
    """Start a stack in a process of its own; returns it, its keeper's id and its child's session."""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(home)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout
    keeper = int(supervisor.stdout.readline())
    session = Session.from_json((home / "run" / "family.json").read_text())
    wait_until(lambda: len(session.members()) == 2, "the family is complete", 20)
    return supervisor, keeper, session


def kill(supervisor: subprocess.Popen[str]) -> None:
    supervisor.kill()
    supervisor.wait()
    assert supervisor.stdout
    supervisor.stdout.close()


def gone(session: Session) -> Callable[[], bool]:
    return lambda: not session.members()


def test_stop_ends_a_child_and_all_that_it_started(processes: Processes) -> None:
    child = processes.start("family", [sys.executable, "-c", FAMILY])
    session = Session(child.process.pid, psutil.Process(child.process.pid).create_time())
    wait_until(lambda: len(session.members()) == 2, "the family is complete", 20)
    processes.stop(grace=5)
    assert session.members() == []


def test_a_child_that_does_not_listen_is_killed(processes: Processes) -> None:
    deaf = "import signal,time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = processes.start("deaf", [sys.executable, "-c", deaf])
    wait_until(lambda: "deaf" in child.log.read_text(), "the child is deaf", 20)
    processes.stop(grace=0.2)
    assert child.process.returncode == -signal.SIGKILL


def test_children_die_with_a_stack_that_is_killed(tmp_path: Path) -> None:
    supervisor, _, session = start_supervisor(tmp_path)
    kill(supervisor)
    wait_until(gone(session), "the children are gone", 20)


def test_the_next_start_ends_what_a_killed_stack_has_left(tmp_path: Path) -> None:
    supervisor, keeper, session = start_supervisor(tmp_path)
    os.kill(keeper, signal.SIGKILL)
    kill(supervisor)
    assert len(session.members()) == 2

    after = Processes(tmp_path)
    assert after.open() == 2
    after.close()
    assert session.members() == []


def test_orphans_are_found_when_their_leader_is_dead(tmp_path: Path) -> None:
    supervisor, keeper, session = start_supervisor(tmp_path)
    for pid in (keeper, session.leader):
        os.kill(pid, signal.SIGKILL)
    kill(supervisor)
    wait_until(lambda: len(session.members()) == 1, "the leader is gone", 20)

    after = Processes(tmp_path)
    after.open()
    after.close()
    assert session.members() == []


def test_a_strangers_process_with_a_noted_id_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    notes = tmp_path / "run"
    notes.mkdir()
    (notes / "stale.json").write_text(Session(stranger.pid, time.time() - 86_400).to_json())
    (notes / "torn.json").write_text('{"leader": 12')
    try:
        after = Processes(tmp_path)
        assert after.open() == 0
        after.close()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_stack_in_the_same_folder_is_refused(processes: Processes, tmp_path: Path) -> None:
    assert is_running(tmp_path)
    with pytest.raises(DemoError, match=f"already running in .*process {os.getpid()}"):
        Processes(tmp_path).open()
    processes.close()
    assert not is_running(tmp_path)


def test_a_dead_child_is_told_with_the_end_of_its_log(processes: Processes) -> None:
    child = processes.start("sick", [sys.executable, "-c", "raise SystemExit('no space left')"])
    child.process.wait()
    with pytest.raises(DemoError, match=r"sick ended with code 1: no space left .*sick\.log.*make demo"):
        child.check()


def test_notes_tell_only_living_children(processes: Processes, tmp_path: Path) -> None:
    processes.start("one", ["sleep", "600"])
    processes.start("two", ["sleep", "600"])
    processes.stop(["one"])
    assert [json.loads(note.read_text())["leader"] for note in (tmp_path / "run").glob("*.json")] == [
        child.process.pid for child in processes.children
    ]

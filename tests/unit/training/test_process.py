"""Training as a process: apart from Airflow, logged line by line, and ended with its task."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.training import process
from feature_ops.training.process import run_in_process

TRAINER = """\
import os, sys
print("rows: 5")
print("password is", os.environ["SECRET"])
print("airflow:", [name for name in os.environ if name.startswith("AIRFLOW")])
sys.exit(int(sys.argv[1]))
"""
# Leaves a daemon that left its session, ignores signals and holds a lock for as long as it lives.
LEAVER = """\
import fcntl, os, signal, sys, time
file = open(os.path.join(os.environ["HOME"], "alive"), "w")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("locked")
        file.flush()
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        time.sleep(300)
    os._exit(0)
os.wait()
while os.path.getsize(file.name) == 0:
    time.sleep(0.01)
if "stay" in sys.argv:
    time.sleep(300)
"""
# The same process as elsewhere, on a machine where nobody may make namespaces.
WITHOUT_NAMESPACES = """\
import os, runpy, sys
sys.path.append({package!r})
from feature_ops.sandbox import containment
from feature_ops.training import isolation
isolation.enter_namespaces = containment._enter_as_root = lambda: False
containment.enter_user_namespace = lambda *_: False
runpy.run_path({guard!r}, run_name="__main__")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "trainer.py").write_text(TRAINER)
    (folder / "leaver.py").write_text(LEAVER)
    return folder


@pytest.fixture
def train(code: Path, tmp_path: Path) -> Callable[..., None]:
    """Run a command of the code in a scratch folder of its own."""
    (tmp_path / "scratch").mkdir()

    def run(*command: str, secrets: Any = (), **arguments: Any) -> None:
        options = {"timeout": 60, **arguments}
        environment = {"SECRET": "opensesame"}
        run_in_process(["-m", *command], code, environment, secrets, scratch=tmp_path / "scratch", **options)

    return run


@pytest.fixture(params=["namespaces", "no namespaces"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which a training is kept together."""
    if request.param == "no namespaces":
        script = tmp_path / "guard_without_namespaces.py"
        names = {"guard": str(process._GUARD), "package": str(process._PACKAGE)}
        script.write_text(WITHOUT_NAMESPACES.format(**names))
        monkeypatch.setattr(process, "_GUARD", script)
    return str(process._GUARD)


def test_output_is_logged_without_secrets_and_without_airflows_environment(
    train: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", "token")
    caplog.set_level("INFO")
    train("trainer", "0", secrets=["opensesame"])
    logged = [line for line in caplog.messages if line.startswith("train: ")]
    assert logged == ["train: rows: 5", "train: password is ***", "train: airflow: []"]


def test_a_training_runs_in_the_interpreter_that_has_the_models_packages(
    train: Callable[..., None], code: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = tmp_path / "models"
    venv.create(environment, symlinks=True, with_pip=False)
    (code / "where.py").write_text("import sys; print(sys.prefix)")
    caplog.set_level("INFO")
    train("where", python=str(environment / "bin" / "python"))
    assert f"train: {environment}" in caplog.messages


def test_an_interpreter_that_does_not_exist_is_named(train: Callable[..., None]) -> None:
    with pytest.raises(
        BadInputError, match=r"/nowhere/python can't be started .* FEATURE_OPS_TRAINING_PYTHON"
    ):
        train("trainer", "0", python="/nowhere/python")


def test_output_that_is_not_text_and_lines_without_end_are_logged_in_part(
    train: Callable[..., None], code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (code / "binary.py").write_text(
        "import sys\nsys.stdout.buffer.write(b'a\\xff\\x1b[31mred\\n' + b'x' * 200_000 + b'\\nlast\\n')\n"
    )
    caplog.set_level("INFO")
    train("binary")
    logged = [line for line in caplog.messages if line.startswith("train: ")]
    assert logged[0] == "train: a\ufffd [31mred"
    assert len(logged[1]) < 70_000
    assert logged[2:] == ["train: last"]


def test_a_failed_training_is_reported_with_its_last_line(train: Callable[..., None]) -> None:
    with pytest.raises(FeatureOpsError, match=r"failed with 3: airflow: \[\]"):
        train("trainer", "3")


def test_a_training_that_can_not_be_done_is_not_tried_again(train: Callable[..., None]) -> None:
    with pytest.raises(BadInputError, match=r"the training can't be done: airflow: \[\]"):
        train("trainer", "65")


def test_a_training_that_ends_leaves_no_daemon(
    train: Callable[..., None], tmp_path: Path, guarded: str
) -> None:
    train("leaver")
    assert ended(tmp_path / "scratch" / "alive")


def test_a_training_that_takes_too_long_is_ended_with_all_it_started(
    train: Callable[..., None], tmp_path: Path, guarded: str
) -> None:
    with pytest.raises(FeatureOpsError, match="did not end within 2 s"):
        train("leaver", "stay", timeout=2)
    assert ended(tmp_path / "scratch" / "alive")


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_killed_task_leaves_no_training_and_no_daemon_behind(
    code: Path, tmp_path: Path, guarded: str, whole_group: bool
) -> None:
    (tmp_path / "scratch").mkdir()
    task = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\n"
            "from feature_ops.training import process\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            "process._GUARD = pathlib.Path(sys.argv[2])\n"
            "process.run_in_process(['-m', 'leaver', 'stay'], folder / 'code', {}, [], 600, "
            "scratch=folder / 'scratch')",
            str(tmp_path),
            guarded,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    alive = tmp_path / "scratch" / "alive"
    assert until(lambda: alive.exists() and alive.stat().st_size)
    assert not is_free(alive)
    if whole_group:
        os.killpg(task.pid, signal.SIGKILL)
    else:
        os.kill(task.pid, signal.SIGKILL)
    task.wait()
    assert ended(alive)


def test_the_guard_runs_no_module_of_the_commit(
    train: Callable[..., None], code: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    for name in ("sitecustomize", "usercustomize", "select", "json", "feature_ops"):
        (code / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').write('{name}')\n")
    train("trainer", "0")  # the training itself may be misled, and writes to its scratch folder only
    assert not marker.exists()


def ended(alive: Path) -> bool:
    """Whether the process that held the lock on a file ends."""
    return until(lambda: is_free(alive))


def is_free(alive: Path) -> bool:
    with alive.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def until(condition: Callable[[], object], timeout: float = 20) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

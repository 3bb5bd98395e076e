"""Training as a process: apart from Airflow, told line by line, and gone when the task is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import psutil
import pytest

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.training.process import run_in_process

TRAINER = """\
import os, sys
print("rows: 5")
print("password is", os.environ["SECRET"])
print("airflow:", [name for name in os.environ if name.startswith("AIRFLOW")])
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "sleeper.py").write_text(
        "import subprocess, sys, pathlib, os\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} {child.pid}')\n"
        "child.wait()\n"
    )
    return tmp_path


def test_output_is_told_without_secrets_and_without_airflows_environment(
    code: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", "token")
    caplog.set_level("INFO")
    run_in_process(["-m", "trainer", "0"], code, {"SECRET": "opensesame"}, ["opensesame"], timeout=60)
    told = [line for line in caplog.messages if line.startswith("train: ")]
    assert told == ["train: rows: 5", "train: password is ***", "train: airflow: []"]


def test_a_training_runs_in_the_interpreter_that_has_the_models_packages(
    code: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = tmp_path / "models"
    venv.create(environment, symlinks=True, with_pip=False)
    (code / "where.py").write_text("import sys; print(sys.prefix)")
    caplog.set_level("INFO")
    run_in_process(["-m", "where"], code, {}, [], timeout=60, python=str(environment / "bin" / "python"))
    assert f"train: {environment}" in caplog.messages


def test_a_failed_training_is_told_with_its_last_line(code: Path) -> None:
    with pytest.raises(FeatureOpsError, match=r"failed with 3: airflow: \[\]"):
        run_in_process(["-m", "trainer", "3"], code, {"SECRET": "x"}, [], timeout=60)


def test_a_training_that_can_not_be_done_is_not_tried_again(code: Path) -> None:
    with pytest.raises(BadInputError, match=r"the training can't be done: airflow: \[\]"):
        run_in_process(["-m", "trainer", "65"], code, {"SECRET": "x"}, [], timeout=60)


def test_one_that_takes_too_long_is_ended_with_all_it_started(code: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(FeatureOpsError, match="did not end within 3 s"):
        run_in_process(["-m", "sleeper", str(pids)], code, {}, [], timeout=3)
    assert gone(pids)


def test_a_killed_task_leaves_no_training_behind(code: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    task = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\n"
            "from feature_ops.training.process import run_in_process\n"
            "run_in_process(['-m', 'sleeper', sys.argv[2]], pathlib.Path(sys.argv[1]), {}, [], 600)",
            str(code),
            str(pids),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    assert gone(pids)


def gone(pids: Path) -> bool:
    started = [int(pid) for pid in pids.read_text().split()]
    return until(lambda: not any(alive(pid) for pid in started))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: object, timeout: float = 20) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

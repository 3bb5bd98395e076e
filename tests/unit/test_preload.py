"""What tasks use is loaded where tasks are forked, and nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from feature_ops import preload
from feature_ops.preload import preload_for_tasks
from tests.unit.fresh_interpreter import HEAVY, run_python

# What Airflow does at the start of each of its processes.
STARTS = f"""
import sys
sys.argv = ["airflow", *sys.argv[1:]]
import airflow.settings
airflow.settings.initialize()
print(*({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r})))
"""


def loaded_by(tmp_path: Path, *command: str, executor: str) -> set[str]:
    output = run_python(STARTS, tmp_path, *command, AIRFLOW__CORE__EXECUTOR=executor)
    return set(output.splitlines()[-1].split())


def test_a_scheduler_that_forks_tasks_has_loaded_what_they_use(tmp_path: Path) -> None:
    assert loaded_by(tmp_path, "scheduler", "--skip-serve-logs", executor="LocalExecutor") == set(HEAVY)


@pytest.mark.parametrize(
    ("command", "executor"),
    [
        (["scheduler"], "CeleryExecutor"),
        (["scheduler"], "KubernetesExecutor"),
        (["api-server"], "LocalExecutor"),
        (["dag-processor"], "LocalExecutor"),
        (["triggerer"], "LocalExecutor"),
        (["tasks", "run"], "LocalExecutor"),
        (["celery", "flower"], "CeleryExecutor"),
        ([], "LocalExecutor"),
    ],
)
def test_other_processes_load_nothing(command: list[str], executor: str) -> None:
    assert not preload_for_tasks(["airflow", *command], executor)


def test_a_process_that_forks_no_tasks_starts_without_them(tmp_path: Path) -> None:
    assert loaded_by(tmp_path, "dag-processor", executor="LocalExecutor") == set()


@pytest.mark.parametrize(
    ("command", "executor"),
    [
        (["celery", "worker"], "CeleryExecutor"),
        (["scheduler"], "LocalExecutor"),
        (["scheduler"], "CeleryExecutor,LocalExecutor"),
    ],
)
def test_where_a_library_is_missing_tasks_load_theirs_themselves(
    command: list[str], executor: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preload, "_LIBRARIES", ("not_installed_here",))
    with caplog.at_level(logging.WARNING):
        assert preload_for_tasks(["airflow", *command], executor)
    assert "Tasks load their libraries themselves" in caplog.text
    assert "not_installed_here" in caplog.text

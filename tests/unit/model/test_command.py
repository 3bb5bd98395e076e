"""The command ends with one line that tells what went wrong, whatever it was."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest

import jukebox.train
from jukebox.__main__ import main
from jukebox.errors import ServerError, TrainingError

TRAIN = [
    "train",
    "--feature-repo=repo",
    "--feature-service=serving_fs",
    "--revision=abc",
    "--rankings=s3://data/rankings.parquet",
    "--dataset-version=songs-1",
    "--definition-hash=hash-1",
    "--result=s3://data/result.json",
]


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (TrainingError("no rankings:\n  add some"), 65, "error: no rankings: add some"),
        (ServerError("MLflow is\naway"), 1, "error: MLflow is away"),
        (ConnectionError("refused\n(see the manual)"), 1, "error: ConnectionError: refused (see the manual)"),
    ],
)
def test_a_failure_is_told_in_the_last_line_and_by_a_code_that_says_whether_to_try_again(
    raised: Exception,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(order: jukebox.train.Order, result: str) -> None:
        assert (order.revision, order.seed, order.champion) == ("abc", 42, None)
        assert result == "s3://data/result.json"
        raise raised

    monkeypatch.setattr(jukebox.train, "train", fails)
    assert main(TRAIN) == code
    assert capsys.readouterr().err.splitlines()[-1] == told


def test_a_training_that_ends_well_says_nothing_of_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jukebox.train, "train", lambda order, result: {})
    assert main([*TRAIN, "--champion=models:/jukebox@champion", "--seed=1"]) == 0
    assert capsys.readouterr().err == ""


def test_mlflow_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    seen = {}

    def look(order: jukebox.train.Order, result: str) -> None:
        seen.update(os.environ)

    monkeypatch.setattr(jukebox.train, "train", look)
    main(TRAIN)
    assert (seen["MLFLOW_DISABLE_TELEMETRY"], seen["DO_NOT_TRACK"]) == ("true", "true")


def test_serving_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    service = ModuleType("jukebox.serving.app")
    seen = {}
    service.run = lambda arguments: seen.update(vars(arguments)) or 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jukebox.serving.app", service)
    assert (
        main(["serve", "--alias=test", "--feature-repo=repo", "--port=8000", "--state=/var/lib/jukebox"]) == 3
    )
    assert seen == {
        "command": "serve",
        "alias": "test",
        "feature_repo": "repo",
        "host": "127.0.0.1",
        "port": 8000,
        "poll": 2.0,
        "signing_key": None,
        "state": "/var/lib/jukebox",
        "songs": None,
        "mlflow_url": None,
        "airflow_url": None,
        "store_timeout": 0.7,
        "max_body_bytes": 1024 * 1024,
    }

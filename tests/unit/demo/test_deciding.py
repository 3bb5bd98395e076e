"""An act that fails is reported with the line of the task that decided."""

from __future__ import annotations

import pytest

from demo.acts import Act
from demo.deciding import deciding_lines
from demo.scene import StoryError, TrainingRun
from demo.story import failure

ACT = Act("loudness is commented out", lambda scene: "")
STATES = {"apply": "success", "retrain": "success", "evaluate": "failed", "register": "upstream_failed"}
LINES = {
    "apply": "applied",
    "retrain": "trained on 1a2b",
    "evaluate": "refused: log-loss may be 0.057 higher",
}


@pytest.mark.parametrize(
    ("states", "lines", "deciding"),
    [
        (STATES, LINES, ["evaluate failed: refused: log-loss may be 0.057 higher"]),
        ({"evaluate": "failed"}, {}, ["evaluate failed: no line, see its log"]),
        (
            {"changed": "skipped", "apply": "skipped"},
            {"changed": "nothing changes"},
            ["changed skipped: nothing changes"],
        ),
        ({"apply": "success"}, {"apply": "applied"}, []),
    ],
)
def test_what_failed_decides_before_what_skipped_the_rest(
    states: dict[str, str], lines: dict[str, str], deciding: list[str]
) -> None:
    assert deciding_lines(states, lines) == deciding


def test_a_failed_act_names_its_run_and_the_deciding_line() -> None:
    error = StoryError("inputs of the model in test: expected 12, got 13")
    assert failure(10, ACT, error, TrainingRun("run 1", STATES, {}, LINES)) == (
        "act 10  FAILED  loudness is commented out\n"
        "       inputs of the model in test: expected 12, got 13\n"
        "       run run 1: evaluate failed: refused: log-loss may be 0.057 higher"
    )


def test_an_act_that_stumbles_is_a_failed_act_too() -> None:
    told = failure(10, ACT, KeyError("deploy_test"), None)
    assert told.endswith("\n       KeyError: 'deploy_test'")

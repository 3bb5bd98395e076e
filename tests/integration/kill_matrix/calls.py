"""What workers of the matrix are called to do; arguments and results are such as JSON can hold."""

from __future__ import annotations

import os
import signal
from typing import Any

from feature_ops.commit_points import CommitPoint, observed_by
from tests.integration.kill_matrix.etl import World, run
from tests.integration.kill_matrix.world import inside

Facts = dict[str, Any]


def run_undisturbed(world: Facts, run_id: str, full_refresh: bool) -> None:
    """Run the whole DAG, or what is left of it."""
    here = World(**world)
    with inside(here):
        run(here, run_id, full_refresh=full_refresh)


def run_and_die(
    world: Facts, run_id: str, full_refresh: bool, step: str, point: str, phase: str, passes: int = 1
) -> None:
    """Run until SIGKILL at a point of a step, which may have been passed before."""
    here = World(**world)
    running, passed = {"step": ""}, []

    def kill(at: CommitPoint, moment: str) -> None:
        if (running["step"], at, moment) == (step, point, phase):
            passed.append(at)
        if len(passed) == passes:
            os.kill(os.getpid(), signal.SIGKILL)

    with inside(here), observed_by(kill):
        run(here, run_id, full_refresh=full_refresh, on_step=lambda name: running.update(step=name))

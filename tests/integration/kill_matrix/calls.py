"""What workers of the matrix are called to do; arguments and results are such as JSON can hold."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from feature_ops.commit_points import AFTER, BEFORE, CommitPoint, observed_by
from feature_ops.datasets import stage
from feature_ops.exceptions import FeatureOpsError
from tests.integration.kill_matrix.disturbed import Fault, Ports, Proxies, proxies_to, through
from tests.integration.kill_matrix.etl import World, run
from tests.integration.kill_matrix.world import inside

Facts = dict[str, Any]


def run_undisturbed(world: Facts, run_id: str, full_refresh: bool) -> None:
    """Run the whole DAG, or what is left of it."""
    here = World(**world)
    with inside(here):
        run(here, run_id, full_refresh=full_refresh)


def run_and_die(
    world: Facts, run_id: str, full_refresh: bool, step: str, point: str, phase: str, part_size: int = 0
) -> None:
    """
    Run until SIGKILL at the first pass of a point of a step.

    :param part_size: bytes of a part of the staged file; the step's own size if 0.
    """
    here = World(**world)
    running = {"step": ""}

    def kill(at: CommitPoint, moment: str) -> None:
        if (running["step"], at, moment) == (step, point, phase):
            os.kill(os.getpid(), signal.SIGKILL)

    stage.PART_SIZE = part_size or stage.PART_SIZE
    with inside(here), observed_by(kill):
        run(here, run_id, full_refresh=full_refresh, on_step=lambda name: running.update(step=name))


def run_cut_off(
    world: Facts,
    ports: Ports,
    run_id: str,
    full_refresh: bool,
    step: str,
    point: str,
    server: str,
    fault: str,
    writes: bool,
) -> Facts:
    """
    Run to the end of a step, while the connection to a server is disturbed at a point of it.

    :param writes: whether the server is told to change something at that point.
    """
    facts: Facts = {"step": "", "error": None, "disturbed": False, "since": 0.0}

    with proxies_to(ports) as proxies:

        def disturb(at: CommitPoint, moment: str) -> None:
            wanted = AFTER if fault == Fault.CUT_AFTER else BEFORE
            if not facts["disturbed"] and (facts["step"], at, moment) == (step, point, wanted):
                facts.update(disturbed=True, since=time.monotonic())
                _disturb(proxies, server, fault, writes)

        here = through(World(**world), ports, proxies)
        try:
            with inside(here), observed_by(disturb):
                run(
                    here,
                    run_id,
                    full_refresh=full_refresh,
                    last=step,
                    on_step=lambda name: facts.update(step=name),
                )
        except FeatureOpsError as error:
            facts["error"] = str(error)
        except Exception as error:
            facts["error"] = f"{type(error).__name__} is no error for people: {error}"
        facts |= {
            "address": f"127.0.0.1:{proxies[server].port}",
            "lost": proxies[server].lost,
            "seconds": time.monotonic() - facts["since"],
        }
    return facts


def _disturb(proxies: Proxies, server: str, fault: str, writes: bool) -> None:
    if fault in (Fault.CUT_BEFORE, Fault.CUT_AFTER):
        proxies[server].cut()
    else:
        proxies[server].lose_an_answer(writes_only=writes, stay_open=fault == Fault.ANSWER_LOST_ONCE)


def run_in_a_full_folder(world: Facts, run_id: str, folder: str) -> list[Facts]:
    """
    Run each step with a work folder that is full, then with a little more room, until it is enough.

    :param folder: the root of a small file system of its own.
    :returns: of each failure the step, and what it said and left in the folder.
    """
    here = World(**world)
    filling = Path(folder) / "filling"
    now: Facts = {"step": "", "room": 0}
    failures: list[Facts] = []

    def begin(step: str) -> None:
        if step != now["step"]:
            now.update(step=step, room=0)
        _fill(filling, now["room"])

    while now["room"] < 1 << 25:
        try:
            with inside(here):
                run(here, run_id, on_step=begin)
            break
        except FeatureOpsError as error:
            left = [path.name for path in Path(folder).iterdir() if path != filling]
            failures.append({"step": now["step"], "error": str(error), "left": left})
            now["room"] = max(1 << 14, now["room"] * 4)
    return failures


def _fill(filling: Path, room: int) -> None:
    """Fill the file system to its very end, then give that many bytes free."""
    filling.unlink(missing_ok=True)
    with filling.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 16))
    assert os.statvfs(filling.parent).f_bavail == 0
    os.truncate(filling, max(filling.stat().st_size - room, 0))

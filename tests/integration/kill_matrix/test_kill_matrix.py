"""A worker that is killed at any commit point leaves nothing that a retry or the next run can't complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.commit_points import AFTER, BEFORE, DEFINITION_POINTS, CommitPoint, observed_by
from tests.integration.kill_matrix import etl
from tests.integration.kill_matrix.etl import World, run
from tests.integration.kill_matrix.world import Worlds, differences, inside, writes_noted

PROJECT = Path(__file__).resolve().parents[3]

Moment = tuple[str, CommitPoint, str]

# In a world that has a load behind it, the next one only writes what is new.
_AFTER_AN_EARLIER_LOAD = {
    CommitPoint.LEDGER_FORGOTTEN,
    CommitPoint.ROWS_ONLINE,
    CommitPoint.VIEW_MATERIALIZED,
}

# From the first of these on, the file of a validation is part of the dataset.
_ACCEPTED = {CommitPoint.FILE_ACCEPTED, CommitPoint.ACCEPTED_FILE_MOVED, CommitPoint.PROPOSAL_REMOVED}

# What a scheduler keeps for the task itself: to another run, killed after it is killed before it.
_SEEN_BY_THE_RETRY_ONLY = {
    CommitPoint.SUMMARY_TOLD,
    CommitPoint.RESULT_KEPT,
    CommitPoint.EVENT_ANNOUNCED,
}


@dataclass
class Undisturbed:
    """
    What was seen of an undisturbed run.

    :param moments: the commit points that it passed.
    :param unlisted: what it wrote outside of them.
    """

    moments: list[Moment]
    unlisted: list[str]


def watch(world: World, run_id: str, *, full_refresh: bool = False) -> Undisturbed:
    """Run undisturbed under watch."""
    seen = Undisturbed([], [])
    step, within = {"now": ""}, []

    def observe(point: CommitPoint, phase: str) -> None:
        seen.moments.append((step["now"], point, phase))
        within.append(point) if phase == BEFORE else within.remove(point)

    def note(write: str) -> None:
        if not within:
            seen.unlisted.append(f"{step['now']}: {write}")

    with inside(world), observed_by(observe), writes_noted(note):
        run(world, run_id, full_refresh=full_refresh, on_step=lambda name: step.update(now=name))
    return seen


def worth_a_kill(moments: list[Moment]) -> list[Moment]:
    """
    Return the moments between which something changes outside.

    Before a point is the same as after the one before it, so only the first ``before`` counts.
    """
    return list(dict.fromkeys([moments[0], *(moment for moment in moments if moment[2] == AFTER)]))


def kill_at(world: World, run_id: str, moment: Moment) -> None:
    """Run in a process of its own until it is killed at the moment."""
    step, point, phase = moment
    refresh = point is CommitPoint.LEDGER_FORGOTTEN
    place = Path(world.folder) / "world.json"
    done = subprocess.run(
        [sys.executable, etl.__file__, str(place), run_id, str(refresh), step, point, phase],
        env={
            **os.environ,
            **world.environment,
            "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "plugins", PROJECT / "dags"))),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, f"{moment} was not passed: {done.stdout} {done.stderr}"


@dataclass(frozen=True)
class Case:
    """A world in which a run is being killed."""

    world: World
    run_id: str
    moment: Moment
    earlier: tuple[str, ...]
    killed: Future[None]

    @property
    def name(self) -> str:
        step, point, phase = self.moment
        return f"{step}: {phase} '{point}' of {self.run_id}"

    @property
    def accepted(self) -> bool:
        """Whether the killed run had got so far that its file is part of the dataset."""
        step, point, _ = self.moment
        return step not in ("ingest", "validate") or point in _ACCEPTED


class Matrix:
    """Makes worlds, has workers killed in them, two at a time, and knows undisturbed worlds."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._pool = ThreadPoolExecutor(2)
        self._made: list[World] = []
        self._wanted: dict[tuple[str, ...], dict[str, Any]] = {}
        self.good = watch(self._new_world(), "run 1", full_refresh=True)
        self.bad = watch(self._new_world(), "bad run")

    def killed(self, *, retried: bool) -> list[Case]:
        """Have a worker killed at each point of the list, in a world of its own, to be retried or not."""
        good = worth_a_kill(self.good.moments)
        bad = [moment for moment in worth_a_kill(self.bad.moments) if moment not in good]
        runs = [*(("run 1", moment) for moment in good), *(("bad run", moment) for moment in bad)]
        cases = []
        for run_id, moment in runs:
            if not retried and moment[1] in _SEEN_BY_THE_RETRY_ONLY:
                continue
            earlier = ("run 0",) if not retried and moment[1] in _AFTER_AN_EARLIER_LOAD else ()
            world = self._new_world()
            for before in earlier:
                self.run(world, before)
            cases.append(
                Case(world, run_id, moment, earlier, self._pool.submit(kill_at, world, run_id, moment))
            )
        return cases

    def run(self, world: World, run_id: str, *, full_refresh: bool = False) -> None:
        """Run undisturbed: whole, or what is left of it."""
        with inside(world):
            run(world, run_id, full_refresh=full_refresh)

    def state(self, world: World) -> dict[str, Any]:
        return self._worlds.state(world)

    def undisturbed(self, *run_ids: str) -> dict[str, Any]:
        """Return the state of a world in which these runs were not disturbed."""
        if run_ids not in self._wanted:
            world = self._new_world()
            for run_id in run_ids:
                self.run(world, run_id)
            self._wanted[run_ids] = self.state(world)
        return self._wanted[run_ids]

    def close(self) -> None:
        self._pool.shutdown()
        for world in self._made:
            self._worlds.remove(world)

    def _new_world(self) -> World:
        world = self._worlds.make(f"world-{len(self._made)}")
        world.save()
        self._made.append(world)
        return world


@pytest.fixture(scope="module")
def matrix(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    made = Matrix(Worlds(servers, tmp_path_factory.mktemp("worlds")))
    yield made
    made.close()


def test_every_listed_point_is_passed_before_and_after(matrix: Matrix) -> None:
    passed = {(point, phase) for _, point, phase in matrix.good.moments + matrix.bad.moments}
    listed = set(CommitPoint) - DEFINITION_POINTS
    assert passed == {(point, phase) for point in listed for phase in (BEFORE, AFTER)}
    assert {step for step, _, _ in matrix.good.moments} == set(etl.STEPS)


def test_nothing_is_written_outside_of_a_listed_point(matrix: Matrix) -> None:
    assert matrix.good.unlisted == []
    assert matrix.bad.unlisted == []


@pytest.mark.timeout(600)
def test_a_retry_completes_what_a_killed_try_began(matrix: Matrix, capsys: Any) -> None:
    began, wrong = time.monotonic(), []
    cases = matrix.killed(retried=True)
    for case in cases:
        case.killed.result()
        matrix.run(case.world, case.run_id, full_refresh=case.moment[1] is CommitPoint.LEDGER_FORGOTTEN)
        found = differences(matrix.undisturbed(case.run_id), matrix.state(case.world))
        wrong += [f"{case.name}: {difference}" for difference in found]
    say(capsys, "retry", len(cases), len(wrong), began)
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(600)
def test_a_run_with_another_input_completes_what_a_killed_run_began(matrix: Matrix, capsys: Any) -> None:
    began, wrong = time.monotonic(), []
    cases = matrix.killed(retried=False)
    for case in cases:
        case.killed.result()
        matrix.run(case.world, "run 2")
        ran = (*case.earlier, *(("run 1",) if case.accepted else ()), "run 2")
        wanted, found = matrix.undisturbed(*ran), matrix.state(case.world)
        for state in (wanted, found):
            # What the killed run had staged or refused is its own, for people to look at.
            state["data"] = {key: facts for key, facts in state["data"].items() if not _of_a_run(key)}
        wrong += [f"{case.name}: {difference}" for difference in differences(wanted, found)]
    say(capsys, "another run", len(cases), len(wrong), began)
    assert not wrong, "\n".join(wrong)


def _of_a_run(key: str) -> bool:
    return key.startswith(("_staging/", "_quarantine/"))


def say(capsys: Any, variant: str, size: int, wrong: int, began: float) -> None:
    with capsys.disabled():
        print(
            f"\nkill matrix, {variant}: {size} kills, {wrong} differences, {time.monotonic() - began:.0f} s"
        )

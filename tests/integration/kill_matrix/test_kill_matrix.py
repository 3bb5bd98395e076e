"""A worker that is killed at any commit point leaves nothing that a retry or the next run can't complete."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.commit_points import AFTER, BEFORE, DEFINITION_POINTS, CommitPoint
from tests.integration.kill_matrix.etl import STEPS, World
from tests.integration.kill_matrix.matrix import Matrix, Moment, completed, killed, matrix_of, rounds, watch
from tests.integration.kill_matrix.nursery import Ended
from tests.integration.kill_matrix.world import Worlds, differences
from tests.support.warm_python import WarmPython

# In a world that has a load behind it, the next one only writes what is new.
_AFTER_AN_EARLIER_LOAD = {
    CommitPoint.LEDGER_FORGOTTEN,
    CommitPoint.ROWS_ONLINE,
    CommitPoint.VIEW_MATERIALIZED,
}

# From the first of these on, the file of a validation is part of the dataset.
_ACCEPTED = {CommitPoint.FILE_ACCEPTED, CommitPoint.ACCEPTED_FILE_MOVED, CommitPoint.PROPOSAL_REMOVED}

# What is kept of the task itself: to another run, killed after it is killed before it.
_SEEN_BY_THE_RETRY_ONLY = {
    CommitPoint.SUMMARY_TOLD,
    CommitPoint.RESULT_KEPT,
    CommitPoint.EVENT_ANNOUNCED,
    CommitPoint.STATUS_TOLD,
}


def worth_a_kill(moments: list[Moment]) -> list[Moment]:
    """
    Return the moments between which something changes outside.

    Before a point is the same as after the one before it, so only the first ``before`` counts. Every step
    reports its status by the same code: one kill there stands for all.
    """
    ends = [moment for moment in moments if moment[2] == AFTER]
    repeated = [moment for moment in ends if moment[1] is CommitPoint.STATUS_TOLD][1:]
    return list(dict.fromkeys([moments[0], *(moment for moment in ends if moment not in repeated)]))


@dataclass(frozen=True)
class Case:
    """
    A world in which a run is being killed and completed.

    :param moments: when it is killed, each time in a later step.
    """

    world: World
    run_id: str
    moments: list[Moment]
    earlier: tuple[str, ...]
    workers: Future[list[Ended]]

    @property
    def name(self) -> str:
        kills = ", ".join(f"{step} {phase} '{point}'" for step, point, phase in self.moments)
        return f"{self.run_id} killed in {kills}"

    def happened_as_meant(self) -> None:
        ended = self.workers.result()
        first = len(self.earlier)
        last = first + len(self.moments)
        for moment, worker in zip(self.moments, ended[first:last], strict=True):
            assert worker.code == -signal.SIGKILL, f"{self.name}: {moment} was not passed: {worker.said}"
        for worker in (*ended[:first], *ended[last:]):
            assert worker.code == 0, f"{self.name} was not completed: {worker.said}"

    @property
    def accepted(self) -> bool:
        """Whether the killed run had got so far that its file is part of the dataset."""
        step, point, _ = self.moments[-1]
        return step not in ("ingest", "validate") or point in _ACCEPTED


class Killed:
    """Kills workers at each point of the list, and has their runs completed."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self.good = watch(matrix.new_world(), "run 1", full_refresh=True)
        self.bad = watch(matrix.new_world(), "bad run")

    def retried(self) -> list[Case]:
        """Begin runs that are killed in each step and retried, until each moment has had its kill."""
        good, bad = self._moments()
        cases = []
        for run_id, moments in (("run 1", good), ("bad run", bad)):
            for kills in rounds(moments, lambda moment: moment[0]):
                world, refresh = self._matrix.new_world(), _refreshes(kills)
                calls = [killed(world, run_id, moment, full_refresh=refresh) for moment in kills]
                workers = self._matrix.nursery.call(*calls, completed(world, run_id, full_refresh=refresh))
                cases.append(Case(world, run_id, kills, (), workers))
        return cases

    def followed(self) -> list[Case]:
        """Begin, for each moment, a run that is killed and one with another input after it."""
        good, bad = self._moments()
        return [
            self._followed(run_id, moment)
            for run_id, moment in [*(("run 1", moment) for moment in good), *(("bad run", m) for m in bad)]
            if moment[1] not in _SEEN_BY_THE_RETRY_ONLY
        ]

    def _followed(self, run_id: str, moment: Moment) -> Case:
        world, refresh = self._matrix.new_world(), _refreshes([moment])
        earlier = ("run 0",) if moment[1] in _AFTER_AN_EARLIER_LOAD else ()
        calls = [
            *(completed(world, before) for before in earlier),
            killed(world, run_id, moment, full_refresh=refresh),
            completed(world, "run 2"),
        ]
        return Case(world, run_id, [moment], earlier, self._matrix.nursery.call(*calls))

    def _moments(self) -> tuple[list[Moment], list[Moment]]:
        good = worth_a_kill(self.good.moments)
        return good, [moment for moment in worth_a_kill(self.bad.moments) if moment not in good]


def _refreshes(moments: list[Moment]) -> bool:
    return any(point is CommitPoint.LEDGER_FORGOTTEN for _, point, _ in moments)


@pytest.fixture(scope="module")
def matrix(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython
) -> Iterator[Matrix]:
    with matrix_of(Worlds(servers, tmp_path_factory.mktemp("worlds")), "killed", warm_python) as made:
        yield made


@pytest.fixture(scope="module")
def kills(matrix: Matrix) -> Killed:
    return Killed(matrix)


def test_every_listed_point_is_passed_before_and_after(kills: Killed) -> None:
    passed = {(point, phase) for _, point, phase in kills.good.moments + kills.bad.moments}
    listed = set(CommitPoint) - DEFINITION_POINTS
    assert passed == {(point, phase) for point in listed for phase in (BEFORE, AFTER)}
    assert {step for step, _, _ in kills.good.moments} == set(STEPS)


def test_nothing_is_written_outside_of_a_listed_point(kills: Killed) -> None:
    assert kills.good.unlisted == []
    assert kills.bad.unlisted == []


@pytest.mark.timeout(600)
def test_a_retry_completes_what_a_killed_try_began(kills: Killed, matrix: Matrix, capsys: Any) -> None:
    began, wrong = time.monotonic(), []
    cases = kills.retried()
    for case in cases:
        case.happened_as_meant()
        found = differences(matrix.undisturbed(case.run_id), matrix.state(case.world))
        wrong += [f"{case.name}: {difference}" for difference in found]
    say(capsys, "retry", sum(len(case.moments) for case in cases), len(wrong), began)
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(600)
def test_a_run_with_another_input_completes_what_a_killed_run_began(
    kills: Killed, matrix: Matrix, capsys: Any
) -> None:
    began, wrong = time.monotonic(), []
    cases = kills.followed()
    for case in cases:
        case.happened_as_meant()
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

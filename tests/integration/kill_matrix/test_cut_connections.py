"""A connection that is cut at any commit point leaves nothing that a retry can't complete."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.commit_points import BEFORE, DEFINITION_POINTS, CommitPoint, observed_by
from tests.integration.kill_matrix.calls import run_cut_off
from tests.integration.kill_matrix.disturbed import Fault, Ports, ports_of, proxies_to, through
from tests.integration.kill_matrix.etl import run
from tests.integration.kill_matrix.matrix import Matrix, completed, matrix_of, rounds
from tests.integration.kill_matrix.nursery import Ended
from tests.integration.kill_matrix.world import Worlds, differences, inside
from tests.support.warm_python import WarmPython

# What the scheduler keeps goes to none of the four servers.
_KEPT_BY_THE_SCHEDULER = {CommitPoint.RESULT_KEPT, CommitPoint.EVENT_ANNOUNCED, CommitPoint.SUMMARY_TOLD}

# Every step reports its status by the same code, and goes on where it can't: one stands for all.
_REPORTS = "materialize"

# No step may try for longer while a server is away; idle machines take a few seconds.
_LIMIT = 90


@dataclass(frozen=True)
class Use:
    """
    A server that is talked to at a point.

    :param writes: whether it is told to change something.
    :param last: whether it is not talked to at a later point of that step.
    """

    run_id: str
    step: str
    point: CommitPoint
    server: str
    writes: bool
    last: bool = False


def uses_of(matrix: Matrix, ports: Ports, run_id: str) -> list[Use]:
    """Run undisturbed, and look which servers are talked to at which points."""
    world = matrix.new_world()
    step, uses, before = {"now": ""}, {}, {}
    with proxies_to(ports) as proxies:

        def observe(point: CommitPoint, phase: str) -> None:
            if point is CommitPoint.STATUS_TOLD and step["now"] != _REPORTS:
                return
            for server, proxy in proxies.items():
                place = (step["now"], point, server)
                if phase == BEFORE:
                    before[place] = (proxy.requests, proxy.writes)
                elif proxy.requests > before[place][0] and place not in uses:
                    # The order of dictionaries is that of the points' ends.
                    uses[place] = Use(run_id, *place, writes=proxy.writes > before[place][1])

        here = through(world, ports, proxies)
        with inside(here), observed_by(observe):
            run(here, run_id, full_refresh=True, on_step=lambda name: step.update(now=name))
    last = {(use.step, use.server): use for use in uses.values()}
    return [
        Use(u.run_id, u.step, u.point, u.server, u.writes, u is last[u.step, u.server]) for u in uses.values()
    ]


Cut = tuple[Use, Fault]


@dataclass(frozen=True)
class Case:
    """
    A world in which a run loses a connection in each of some steps, and is tried again each time.

    :param cuts: which and how, each in a later step.
    """

    run_id: str
    cuts: list[Cut]
    world: Any
    workers: Future[list[Ended]]

    @property
    def name(self) -> str:
        return ", ".join(map(_name, self.cuts))

    def problems(self) -> Iterator[str]:
        """Say what is not as a person would want it, but for the state of the world."""
        *workers, retry = self.workers.result()
        for cut, worker in zip(self.cuts, workers, strict=True):
            if worker.code:
                yield f"{_name(cut)}: ended with {worker.code}: {worker.said[-3000:]}"
            else:
                yield from (f"{_name(cut)}: {problem}" for problem in _problems(cut, worker.result))
        if retry.code:
            yield f"{self.name}: was not completed: {retry.said[-3000:]}"


def _name(cut: Cut) -> str:
    use, fault = cut
    return f"{use.step}: '{use.point}' of {use.run_id}, {use.server}, {fault}"


def _problems(cut: Cut, facts: dict[str, Any]) -> Iterator[str]:
    use, fault = cut
    if not facts["disturbed"] or (fault in _LOSSES and facts["lost"] != 1):
        yield f"nothing was disturbed: {facts}"
    error = facts["error"]
    if error and facts["seconds"] > _LIMIT:
        yield f"was told after {facts['seconds']:.0f} s"
    if error is None:
        # Its client tried again by itself, which it can't where the server stays away.
        # A status is not worth a failure.
        if fault is Fault.CUT_BEFORE and use.point is not CommitPoint.STATUS_TOLD:
            yield f"went on without the server: {facts}"
    elif "\n" in error or facts["address"] not in error or "try again" not in error:
        yield f"is told as {error!r} of {facts['step']}, server {facts['address']}"


_LOSSES = (Fault.ANSWER_LOST, Fault.ANSWER_LOST_ONCE)


def _is_case_of_its_own(use: Use, fault: Fault) -> bool:
    if fault is Fault.CUT_AFTER:
        # Else it is the same as before the next point.
        return use.last
    if fault is Fault.ANSWER_LOST_ONCE:
        # A read whose answer is lost is the same wherever its client sends it: once per step and server.
        return use.writes or use.last
    # Where nothing was written, a server that goes away with its answer has gone away before.
    return fault is not Fault.ANSWER_LOST or use.writes


class Cuts:
    """Has a connection cut in every way at every point that talks to the server."""

    def __init__(self, matrix: Matrix, ports: Ports) -> None:
        self._matrix, self._ports = matrix, ports
        good = uses_of(matrix, ports, "run 1")
        places = {(use.step, use.point) for use in good}
        self.uses = [
            *good,
            *(use for use in uses_of(matrix, ports, "bad run") if (use.step, use.point) not in places),
        ]

    def cases(self) -> list[Case]:
        """Begin runs, until each connection has been cut in every way."""
        cuts = [(use, fault) for use in self.uses for fault in Fault if _is_case_of_its_own(use, fault)]
        return [
            self._case(run_id, found)
            for run_id in ("run 1", "bad run")
            for found in rounds([cut for cut in cuts if cut[0].run_id == run_id], lambda cut: cut[0].step)
        ]

    def _case(self, run_id: str, cuts: list[Cut]) -> Case:
        world, refresh = self._matrix.new_world(), run_id != "bad run"
        facts, ports = asdict(world), dict(self._ports)
        calls = [
            (
                run_cut_off,
                (facts, ports, run_id, refresh, use.step, use.point, use.server, fault, use.writes),
            )
            for use, fault in cuts
        ]
        retry = completed(world, run_id, full_refresh=refresh)
        return Case(run_id, cuts, world, self._matrix.nursery.call(*calls, retry))


@pytest.fixture(scope="module")
def matrix(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython
) -> Iterator[Matrix]:
    with matrix_of(Worlds(servers, tmp_path_factory.mktemp("worlds")), "cut", warm_python) as made:
        yield made


@pytest.fixture(scope="module")
def cuts(matrix: Matrix, servers: Servers) -> Cuts:
    return Cuts(matrix, ports_of(servers))


def test_every_listed_point_talks_to_a_server(cuts: Cuts) -> None:
    assert {use.point for use in cuts.uses} == set(CommitPoint) - DEFINITION_POINTS - _KEPT_BY_THE_SCHEDULER


@pytest.mark.timeout(600)
def test_retries_complete_what_lost_connections_broke_off(cuts: Cuts, matrix: Matrix, capsys: Any) -> None:
    began, wrong = time.monotonic(), []
    cases = cuts.cases()
    for case in cases:
        wrong += case.problems()
        wanted = matrix.undisturbed(case.run_id)
        wrong += [f"{case.name}: {found}" for found in differences(wanted, matrix.state(case.world))]
    count = sum(len(case.cuts) for case in cases)
    with capsys.disabled():
        print(f"\n{count} cuts in {len(cases)} runs, {len(wrong)} problems, {time.monotonic() - began:.0f} s")
    assert not wrong, "\n".join(wrong)

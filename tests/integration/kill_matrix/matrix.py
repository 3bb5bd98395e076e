"""Worlds in which runs are disturbed, beside worlds in which they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, TypeVar

from feature_ops.commit_points import BEFORE, CommitPoint, observed_by
from tests.integration.kill_matrix.calls import run_and_die, run_undisturbed
from tests.integration.kill_matrix.etl import STEPS, World, run
from tests.integration.kill_matrix.nursery import Nursery
from tests.integration.kill_matrix.world import Worlds, inside, writes_noted
from tests.support.warm_python import WarmPython

T = TypeVar("T")
Moment = tuple[str, CommitPoint, str]
Call = tuple[Callable[..., Any], tuple[Any, ...]]


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


def killed(
    world: World, run_id: str, moment: Moment, *, full_refresh: bool = False, part_size: int = 0
) -> Call:
    """Return the call of a worker that is killed at a moment."""
    return run_and_die, (asdict(world), run_id, full_refresh, *moment, part_size)


def completed(world: World, run_id: str, *, full_refresh: bool = False) -> Call:
    """Return the call of a worker that runs undisturbed: whole, or what is left of it."""
    return run_undisturbed, (asdict(world), run_id, full_refresh)


def rounds(moments: Sequence[T], step_of: Callable[[T], str]) -> list[list[T]]:
    """
    Return lists with at most one moment of each step, in the order of the steps.

    One run can be disturbed in each step and tried again: it costs as much as one that is disturbed once.
    """
    of_steps = [[moment for moment in moments if step_of(moment) == step] for step in STEPS]
    return [[moment for moment in found if moment is not None] for found in zip_longest(*of_steps)]


class Matrix:
    """Makes worlds, has workers work in them, two at a time, and knows undisturbed worlds."""

    def __init__(self, worlds: Worlds, name: str, warm_python: WarmPython) -> None:
        self._worlds, self._name = worlds, name
        self._made: list[World] = []
        self._wanted: dict[tuple[str, ...], dict[str, Any]] = {}
        self.nursery = Nursery(warm_python)

    def new_world(self) -> World:
        world = self._worlds.make(f"{self._name}-{len(self._made)}")
        self._made.append(world)
        return world

    def run(self, world: World, run_id: str, *, full_refresh: bool = False) -> None:
        """Run undisturbed in this process: whole, or what is left of it."""
        with inside(world):
            run(world, run_id, full_refresh=full_refresh)

    def state(self, world: World) -> dict[str, Any]:
        return self._worlds.state(world)

    def undisturbed(self, *run_ids: str) -> dict[str, Any]:
        """Return the state of a world in which these runs were not disturbed."""
        if run_ids not in self._wanted:
            world = self.new_world()
            for run_id in run_ids:
                self.run(world, run_id)
            self._wanted[run_ids] = self.state(world)
        return self._wanted[run_ids]

    def close(self) -> None:
        self.nursery.close()
        for world in self._made:
            self._worlds.remove(world)


@contextmanager
def matrix_of(worlds: Worlds, name: str, warm_python: WarmPython) -> Iterator[Matrix]:
    """
    Yield a matrix, and remove its worlds afterwards.

    :param name: a word that no other matrix on the same servers has.
    :param warm_python: starts the workers.
    """
    with ExitStack() as stack:
        matrix = Matrix(worlds, name, warm_python)
        stack.callback(matrix.close)
        yield matrix

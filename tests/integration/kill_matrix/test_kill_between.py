"""A worker that is killed between two files, parts or shards of one step is completed like any other."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.commit_points import AFTER, BEFORE, CommitPoint
from feature_ops.datasets import stage
from tests.integration.kill_matrix.etl import World
from tests.integration.kill_matrix.matrix import Matrix, Moment, completed, killed, matrix_of, rounds, watch
from tests.integration.kill_matrix.world import SOURCES, Worlds, differences, source_file
from tests.support.warm_python import WarmPython

# The smallest part that S3 takes: a source of so many bytes and a few more is sent in two.
PART_SIZE = 5 << 20
SHARD_ROWS = 2


@pytest.fixture(scope="module")
def matrix(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython
) -> Iterator[Matrix]:
    with matrix_of(Worlds(servers, tmp_path_factory.mktemp("worlds")), "between", warm_python) as made:
        yield made


def world_with_a_file_left_behind(matrix: Matrix, servers: Servers) -> World:
    """Make a world in which an earlier run died when its file was accepted, but not versioned."""
    made = matrix.new_world()
    servers.object_store.put_bytes(source_file(SOURCES["run 1"], PART_SIZE), made.source("run 1"))
    world = replace(
        made, environment={**made.environment, "FEATURE_OPS_BACKFILL_SHARD_ROWS": str(SHARD_ROWS)}
    )
    died = killed(world, "run 0", ("version", CommitPoint.CONTENT_ON_DVC_REMOTE, BEFORE))
    (ended,) = matrix.nursery.call(died).result()
    assert ended.code == -signal.SIGKILL, ended.said
    return world


@pytest.fixture(scope="module")
def repeated(matrix: Matrix, servers: Servers) -> tuple[list[Moment], dict[str, Any]]:
    """The points that an undisturbed run passes more than once in a step, and the state it leaves."""
    world = world_with_a_file_left_behind(matrix, servers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "PART_SIZE", PART_SIZE)
        seen = watch(world, "run 1")
    passes = Counter(moment for moment in seen.moments if moment[2] == AFTER)
    return [moment for moment, count in passes.items() if count > 1], matrix.state(world)


def test_files_parts_and_shards_come_several_at_a_time(
    repeated: tuple[list[Moment], dict[str, Any]],
) -> None:
    assert {point for _, point, _ in repeated[0]} >= {
        CommitPoint.PART_SENT,
        CommitPoint.CONTENT_ON_DVC_REMOTE,
        CommitPoint.FILE_IN_HISTORY,
        CommitPoint.ACCEPTED_FILE_REMOVED,
        CommitPoint.ROWS_ONLINE,
        CommitPoint.BACKFILL_ADVANCED,
    }


def test_a_retry_completes_what_was_killed_between_two(
    matrix: Matrix, servers: Servers, repeated: tuple[list[Moment], dict[str, Any]]
) -> None:
    moments, wanted = repeated
    kills = rounds(moments, lambda moment: moment[0])
    worlds = [world_with_a_file_left_behind(matrix, servers) for _ in kills]
    working = [
        matrix.nursery.call(
            *(killed(world, "run 1", moment, part_size=PART_SIZE) for moment in found),
            completed(world, "run 1"),
        )
        for world, found in zip(worlds, kills, strict=True)
    ]
    wrong = []
    for world, found, workers in zip(worlds, kills, working, strict=True):
        *died, retried = workers.result()
        assert {worker.code for worker in died} == {-signal.SIGKILL}, [worker.said for worker in died]
        assert retried.code == 0, retried.said
        wrong += [f"{found}: {difference}" for difference in differences(wanted, matrix.state(world))]
    assert not wrong, "\n".join(wrong)

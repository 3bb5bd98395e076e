"""A work folder on a full disk: the line says so, nothing else changes, and with room the run completes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from demo.servers import Servers
from tests.integration.kill_matrix.calls import run_in_a_full_folder
from tests.integration.kill_matrix.matrix import Matrix, matrix_of
from tests.integration.kill_matrix.world import Worlds, differences
from tests.support.warm_python import WarmPython


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 16 MiB; skipped where it can't be made, but never in CI."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        reason = f"a small file system can be mounted by root only: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def matrix(servers: Servers, tmp_path: Path, warm_python: WarmPython) -> Iterator[Matrix]:
    with matrix_of(Worlds(servers, tmp_path), "full", warm_python) as made:
        yield made


def test_a_full_work_folder_is_named_and_changes_nothing(small_disk: Path, matrix: Matrix) -> None:
    roomy = matrix.new_world()
    world = replace(roomy, environment={**roomy.environment, "FEATURE_OPS_WORK_DIR": str(small_disk)})

    (ended,) = matrix.nursery.call((run_in_a_full_folder, (asdict(world), "run 1", str(small_disk)))).result()

    assert ended.code == 0, ended.said
    assert {failure["step"] for failure in ended.result} >= {"validate", "version", "upload"}
    for failure in ended.result:
        assert failure["error"] == (
            f"no space is left in the work folder {small_disk}: free some, or set FEATURE_OPS_WORK_DIR to a "
            "folder with room for two and a half times the dataset's file; then try again"
        )
        assert failure["left"] == []
    assert differences(matrix.undisturbed("run 1"), matrix.state(world)) == []

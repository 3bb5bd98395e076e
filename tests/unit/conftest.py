"""What the tests of git and of the versions in it share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.bare_repository import create


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository to push to."""
    return create(tmp_path / "remote.git")

"""One stack with a real scheduler for all end-to-end tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.scene import Scene
from demo.songs import NEW_SONG_ID, catalogue, new_song, write_catalogue
from demo.stack import Stack


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A running stack whose generated catalogue was loaded by the DAG itself."""
    folder: Path = tmp_path_factory.mktemp("e2e")
    base = folder / "catalogue.parquet"
    write_catalogue(base)
    stack = Stack(folder / "stack", catalogue=base)
    stack.start(lambda line: print(line, flush=True))
    try:
        yield Scene(stack, catalogue().reset_index(drop=True), new_song(), NEW_SONG_ID)
    finally:
        stack.stop()

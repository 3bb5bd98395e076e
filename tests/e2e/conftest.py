"""One stack with a real scheduler for all end-to-end tests of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from demo.scene import Scene
from demo.songs import NEW_SONG_ID, catalogue, new_song, write_catalogue
from demo.stack import Stack

# Seconds of a test: whichever is the first waits until the stack has its catalogue and its model.
_TIMEOUT = 900
# Requests per second to each model: other tests need the processors, too.
_RATE = 5.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder time for the start of the stack."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TIMEOUT))


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A running stack whose generated catalogue was loaded by the DAG itself."""
    folder: Path = tmp_path_factory.mktemp("e2e")
    base = folder / "catalogue.parquet"
    write_catalogue(base)
    stack = Stack(folder / "stack", catalogue=base)
    stack.start(lambda line: print(line, flush=True))
    try:
        yield Scene(stack, catalogue().reset_index(drop=True), new_song(), NEW_SONG_ID, _RATE)
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def airflow(scene: Scene, browser: Browser) -> Iterator[Page]:
    """A browser page that is signed in to Airflow."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(30_000)
    page.goto(scene.stack.airflow_url)
    page.fill("input[name=username]", scene.stack.admin_login)
    page.fill("input[name=password]", scene.stack.admin_password)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(home)?$"))
    yield page
    page.close()

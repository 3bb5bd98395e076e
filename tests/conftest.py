"""What every test may use: the project's modules, and one browser."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.programs import need

# Child processes of tests (`python -m demo...`, Feast's repository) find the project as we do.
PROJECT = Path(__file__).resolve().parents[1]
for folder in (PROJECT, PROJECT / "plugins", PROJECT / "dags"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Files of minutes, the longest first: begun last, one of them would leave the other process without work.
LONG = (
    "test_model_of_history.py",
    "test_training_in_a_pod.py",
    "test_cut_connections.py",
    "test_kill_matrix.py",
    "test_guide.py",
    "test_three_views.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is fast, then with the long files; all others stay as they are."""
    unit = PROJECT / "tests" / "unit"

    def place(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        return not item.path.is_relative_to(unit), LONG.index(name) if name in LONG else len(LONG)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of later collections of garbage, of which a step makes one."""
    gc.freeze()


# Chromium's own calls home are switched off: they would only fail here, many at a time.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the session: while Playwright runs, its thread has an event loop, in which asyncio.run() fails.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window; where it is missing, tests say so and are skipped, and fail in CI."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()

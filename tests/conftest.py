"""What every test may use: the project's modules, and one browser."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.programs import need
from tests.support.distribution import FilesAndStack, in_order
from tests.support.functions import load_functions_again
from tests.support.time_by_group import table

# Child processes of tests (`python -m demo...`, Feast's repository) find the project as we do.
PROJECT = Path(__file__).resolve().parents[1]
for folder in (PROJECT, PROJECT / "plugins", PROJECT / "dags"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndStack:
    """Spread the tests over workers."""
    return FilesAndStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests so that all workers are busy until the end."""
    items[:] = in_order(items)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the time of each group of tests."""
    reports = [one for kind in ("passed", "failed", "error") for one in terminalreporter.stats.get(kind, ())]
    # Setup and teardown of tests that passed are listed without a kind.
    reports += [one for one in terminalreporter.stats.get("", ()) if isinstance(one, pytest.TestReport)]
    if len({one.nodeid for one in reports}) > 1:
        terminalreporter.section("time by group")
        for line in table(reports):
            terminalreporter.write_line(line)


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of later collections of garbage, of which a step makes one."""
    gc.freeze()


@pytest.fixture(autouse=True)
def functions_are_loaded_again() -> Iterator[None]:
    """Forget that a step of Airflow ran in this process: later tests play other processes."""
    yield
    load_functions_again()


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

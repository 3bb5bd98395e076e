"""The page is for Airflow's users only; it reads, and is whole without any other server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from feature_ops.ui.app import create_app
from feature_ops.ui.reading import Reader

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
PAGES = PLUGINS / "feature_ops" / "ui" / "pages"


@pytest.fixture
def stranger() -> TestClient:
    """A browser that is not signed in to Airflow."""
    return TestClient(create_app(Reader(lambda: pytest.fail("a stranger made the page read"))))


@pytest.mark.parametrize("path", ["/", "/status", "/page.js", "/page.css"])
def test_a_stranger_is_refused_in_words(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("Signed out. Sign in to Airflow")


def test_a_strangers_browser_gets_a_page_that_says_so(stranger: TestClient) -> None:
    answer = stranger.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "<h1>Signed out</h1>" in answer.text
    assert "sha256-" in answer.headers["Content-Security-Policy"]


def test_the_page_has_all_it_needs_with_it() -> None:
    for asset in PAGES.iterdir():
        text = asset.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, asset.name
        assert "https:" not in text, asset.name
        # Nothing that was told is ever read as markup.
        assert "innerHTML" not in text, asset.name


def test_the_plugin_imports_nothing_that_only_the_api_server_needs() -> None:
    code = (
        "import sys, airflow.plugins_manager, airflow.sdk; before = set(sys.modules); "
        "import feature_store_plugin; new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted({'fastapi', 'feast', 'pandas', 'mlflow', 'boto3', 'numpy'} & new))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PLUGINS, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"

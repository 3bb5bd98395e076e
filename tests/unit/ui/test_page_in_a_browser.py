"""
The page in a browser: each state says what is wrong, and axe finds nothing in any of them.

Airflow is not needed: all that the page asks for is answered here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from feature_ops.ui.app import _ASSETS, _HEADERS, _PAGES, _POLICY
from feature_ops.ui.refusal import refusal_page, refused
from tests.unit.ui import canned

ORIGIN = "http://airflow.test"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
LOOKS = ((1280, "light"), (1280, "dark"), (320, "light"))
DAGS = {
    "dags": [
        {
            "dag_id": "song_properties_etl",
            "dag_display_name": "Song properties ETL",
            "description": "Load songs",
        }
    ]
}
QUESTION = {
    "subject": "Promote jukebox v3 to production (replaces v2)?",
    "created_at": canned.NOW.isoformat(),
    "task_instance": {
        "dag_id": "promote_model",
        "dag_run_id": "r",
        "task_id": "approve",
        "operator_name": "ApproveOperator",
        "state": "deferred",
    },
}


class Airflow:
    """Answers what the page asks for; tests change the answers."""

    def __init__(self) -> None:
        self.status: Callable[[Route], None] = answer(canned.well())
        self.questions: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.asked = 0

    def handle(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/feature-store/status":
            self.asked += 1
            self.status(route)
        elif path.endswith("/hitlDetails"):
            route.fulfill(json={"hitl_details": self.questions})
        elif path.endswith("/dagRuns"):
            route.fulfill(json={"dag_runs": self.runs if "song_properties_etl" in path else []})
        elif path == "/api/v2/dags":
            route.fulfill(json=DAGS)
        else:
            self.file(route, path.removeprefix("/feature-store/") or "index.html")

    def file(self, route: Route, name: str) -> None:
        kind = _ASSETS.get(name, "text/html")
        route.fulfill(body=(_PAGES / name).read_bytes(), headers={**_HEADERS, "Content-Type": kind})


def answer(content: dict[str, Any], status: int = 200) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, json=content)


def failing(status: int, body: str = "<h1>no</h1>") -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, body=body, content_type="text/html")


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture(scope="module")
def module_page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="UTC")
    page.set_default_timeout(20_000)
    yield page
    page.close()


@pytest.fixture
def page(module_page: Page, airflow: Airflow) -> Iterator[Page]:
    module_page.set_viewport_size({"width": 1280, "height": 900})
    module_page.emulate_media(color_scheme="light")
    module_page.route("**/*", airflow.handle)
    errors: list[str] = []

    def keep(error: Any) -> None:
        errors.append(str(error))

    module_page.on("pageerror", keep)
    yield module_page
    module_page.remove_listener("pageerror", keep)
    module_page.goto("about:blank")
    module_page.unroute_all(behavior="ignoreErrors")
    assert errors == []


def show(page: Page, state: str) -> None:
    page.goto(f"{ORIGIN}/feature-store/")
    expect(page.locator("main")).to_have_attribute("data-state", state)


def violations(page: Page) -> list[str]:
    """Return what axe finds, with the elements."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def look_at_everything(page: Page) -> None:
    """
    Check with axe in light and dark, wide and narrow, and that nothing is wider than the page.

    Colours do not depend on the width, nor the structure on the theme.
    """
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    for width, theme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        # The page draws its charts again in the next frame.
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert violations(page) == [], (width, theme)


def stays_open(route: Route) -> None:
    """Never answer."""


STATES: dict[str, tuple[Callable[[Route], None], str, str]] = {
    "ready": (answer(canned.well()), "", "Feature views"),
    "empty": (answer(canned.empty()), "", "No data yet"),
    "loading": (stays_open, "", "Loading…"),
    "signed-out": (answer({"detail": "x"}, 401), "Signed out", "Sign in to Airflow"),
    "forbidden": (answer({"detail": "x"}, 403), "Access denied", "Ask an Airflow administrator"),
    "server-error": (failing(500), "Server error", "returned 500"),
    "offline": (lambda route: route.abort("connectionrefused"), "Offline", "check that it runs"),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_says_what_it_is_and_is_accessible(state: str, page: Page, airflow: Airflow) -> None:
    airflow.status, title, text = STATES[state]
    show(page, state)
    expect(page.get_by_role("heading", name="Feature store", level=1)).to_be_visible()
    if title:
        expect(page.get_by_role("alert")).to_contain_text(title)
    expect(page.locator("main")).to_contain_text(text)
    look_at_everything(page)


def test_a_page_with_failures_of_every_kind_is_accessible(page: Page, airflow: Airflow) -> None:
    airflow.status, airflow.questions = answer(canned.trouble()), [QUESTION]
    show(page, "ready")
    look_at_everything(page)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_page_of_a_refusal_is_accessible(page: Page, status: int) -> None:
    html, style = refusal_page(refused(status, "Page not found"))
    headers = {"Content-Type": "text/html", "Content-Security-Policy": _POLICY.format(style=style)}
    page.route(
        f"{ORIGIN}/feature-store/", lambda route: route.fulfill(body=html, status=status, headers=headers)
    )
    page.goto(f"{ORIGIN}/feature-store/")
    # Its style is let in by the policy.
    expect(page.locator("h1")).to_have_css("font-size", "24px")
    look_at_everything(page)


@pytest.mark.parametrize(
    ("response", "state", "text"),
    [
        (failing(502), "server-error", "502"),
        (failing(503), "server-error", "503"),
        (failing(200), "server-error", "not JSON"),
        (failing(404), "server-error", "404"),
        (lambda route: route.abort("internetdisconnected"), "offline", "does not respond"),
    ],
)
def test_other_failures_are_told_apart(
    page: Page, airflow: Airflow, response: Any, state: str, text: str
) -> None:
    airflow.status = response
    show(page, state)
    expect(page.get_by_role("alert")).to_contain_text(text)


@pytest.mark.parametrize(
    ("failure", "kept"),
    [("offline", True), ("server-error", True), ("signed-out", False), ("forbidden", False)],
)
def test_what_was_shown_stays_in_an_outage_but_not_without_the_right_to_see_it(
    page: Page, airflow: Airflow, failure: str, kept: bool
) -> None:
    show(page, "ready")
    good, airflow.status = airflow.status, STATES[failure][0]
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("main")).to_have_attribute("data-state", failure)
    expect(page.locator("[data-part=views]")).to_have_count(1 if kept else 0)
    airflow.status = good
    if kept:
        page.get_by_role("button", name="Retry").click()
    else:
        page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("main")).to_have_attribute("data-state", "ready")
    expect(page.get_by_role("alert")).to_have_count(0)


def part(page: Page, name: str) -> Any:
    return page.locator(f"[data-part={name}]")


def test_failures_are_shown_with_their_line_and_a_link(page: Page, airflow: Airflow) -> None:
    airflow.status = answer(canned.trouble())
    show(page, "ready")
    etl = part(page, "pipelines").locator("[data-dag=song_properties_etl]")
    expect(etl.locator(".row-head .badge")).to_have_text("quarantined")
    expect(etl.locator(".lead")).to_contain_text("3 values above 10")
    task = f"{ORIGIN}/dags/song_properties_etl/runs/scheduled__41/tasks/validate"
    expect(etl.locator("p.quiet a").first).to_have_attribute("href", task)
    alerts = page.get_by_role("alert")
    for text in (
        "Commit not applied",
        "Song properties ETL: file quarantined",
        "artist_properties: not loaded",
        "Object store not readable",
    ):
        expect(alerts.filter(has_text=text)).to_have_count(1)
    expect(alerts.filter(has_text="file quarantined")).to_contain_text("7 failed runs in a row")
    expect(page.get_by_role("status").filter(has_text="Stale data")).to_contain_text("no load for 1 hour")
    commits = part(page, "commits")
    expect(commits.locator(".commit").first).to_contain_text("Add loudness")
    newest = commits.locator("li.step").first
    expect(newest).to_contain_text("Remove energy from the view")
    expect(newest).to_contain_text("newest")
    expect(newest.locator(".badge")).to_have_text("refused")
    file = part(page, "quarantine").locator("li").first
    expect(file).to_contain_text("https://example.org/songs/2026-11-30.parquet")
    expect(file).to_contain_text("s3://data/_quarantine/song_properties/scheduled__41/report.json")
    expect(page.locator("[data-chart=loads] .mark.quarantined")).to_have_count(6)


def test_the_page_shows_features_with_types_and_readers_and_charts(page: Page) -> None:
    show(page, "ready")
    expect(page.locator("[data-chart=loads] .bar")).to_have_count(12)
    expect(page.locator("[data-chart=freshness] .legend")).to_contain_text("song_properties")
    expect(page.locator("[data-chart=drift-jukebox] path.line")).to_have_count(4 + 4)
    page.get_by_text("Features of song_properties", exact=True).click()
    row = part(page, "views").get_by_role("row").filter(has_text="energy")
    for text in ("Float32", "serving_fs", "jukebox v2 (production)", "jukebox v3 (test)"):
        expect(row.first).to_contain_text(text)
    expect(part(page, "views")).to_contain_text("Not verified online: tempo")
    expect(part(page, "models").get_by_role("row").filter(has_text="version 3")).to_contain_text(
        "The licence of loudness ends"
    )
    expect(page.locator("footer")).to_have_text("Updated just now")


@pytest.mark.parametrize(
    ("run", "badge", "text"),
    [
        ({"dag_run_id": "new", "state": "running"}, "running", "No task has reported yet"),
        ({"dag_run_id": "new", "state": "failed"}, "failed", "a worker was killed"),
        ({"dag_run_id": "scheduled__11", "state": "running"}, "running", "Verified 200 keys"),
        ({"dag_run_id": "scheduled__11", "state": "failed"}, "failed", "without a report"),
        ({"dag_run_id": "scheduled__11", "state": "success"}, "success", "Verified 200 keys"),
    ],
)
def test_a_run_that_no_task_has_reported_is_shown_as_airflow_knows_it(
    page: Page, airflow: Airflow, run: dict[str, Any], badge: str, text: str
) -> None:
    airflow.runs = [
        {**run, "start_date": canned.NOW.isoformat(), "end_date": None, "run_after": canned.NOW.isoformat()}
    ]
    show(page, "ready")
    etl = part(page, "pipelines").locator("[data-dag=song_properties_etl]")
    expect(etl.locator(".row-head .badge")).to_have_text(badge)
    expect(etl.locator(".lead")).to_contain_text(text)


def test_an_update_keeps_what_is_open_and_focused(page: Page, airflow: Airflow) -> None:
    show(page, "ready")
    summary = page.get_by_text("Features of song_properties", exact=True)
    summary.click()
    changed = json.loads(json.dumps(canned.well()))
    changed["views"][1]["rows"] = 77_777
    airflow.status = answer(changed)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(part(page, "views")).to_contain_text("77,777")
    expect(summary).to_be_focused()
    assert summary.evaluate("element => element.parentElement.open")


def test_names_from_outside_are_never_markup(page: Page, airflow: Airflow) -> None:
    evil = "<img src=x onerror=alert(1)>"
    text = json.dumps(canned.trouble())
    for name in ("Remove energy from the view", "Ada Lovelace", "2026-11-30.parquet", "danceability"):
        text = text.replace(name, evil)
    airflow.status = lambda route: route.fulfill(body=text, content_type="application/json")
    show(page, "ready")
    expect(page.get_by_text(evil).first).to_be_visible()
    assert page.locator("img").count() == 0

"""The model's page in a browser, with canned responses of the service."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from jukebox.serving.app import _HEADERS, PAGES

ORIGIN = "http://jukebox.test"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
KNOWN, UNKNOWN = "1D2SVYXZdtNfJCg8wZWvVz", "0D2SVYXZdtNfJCg8wZWvVz"
LONG = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch"
COUNTRIES = {"KR": 0.134, "GB": 0.1, "VC": 0.0201, "AR": 0.0004, "DE": 0.0}
SONG = {"song": KNOWN, "name": "Golden River", "artists": LONG}
VALUES = {"energy": 0.81, "loudness": -6.5, "key": 5, f"feature_{LONG}": -0.25, "tempo": None}
MODEL = {"version": "7", "alias": "test", "git_commit": "c0ffee1c0ffee1"}


class Service:
    """Responds as the service does; tests change the responses."""

    def __init__(self) -> None:
        self.searchable = True
        self.links: dict[str, str] = {}
        self.predictions: list[str] = []
        self.asked = 0

    def handle(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        path = unquote(url.path)
        if path.startswith("/predict/"):
            self.predictions.append(f"{path.removeprefix('/predict/')}?{url.query}")
            self._predict(route, path.removeprefix("/predict/"))
        elif path == "/songs":
            (text,) = parse_qs(url.query)["q"]
            found = [SONG] if self.searchable and text in "golden river" else []
            send(route, {"songs": found, "searchable": self.searchable})
        elif path == "/songs/examples":
            send(route, {"songs": [SONG]})
        elif path == "/model":
            self.asked += 1
            send(route, {**MODEL, "refused": None, "troubles": {}, "links": self.links})
        else:
            file = PAGES / (path.removeprefix("/static/").strip("/") or "index.html")
            route.fulfill(
                body=file.read_bytes(), content_type=mimetypes.guess_type(file)[0], headers=_HEADERS
            )

    def _predict(self, route: Route, song: str) -> None:
        if song != KNOWN:
            detail = f"The song {song} is not in the feature store yet."
            send(route, {"song": song, "outcome": "unknown", "detail": detail}, 404)
            return
        features = [
            {"name": name, "ref": f"songs:{name}", "value": value, "event_timestamp": None}
            for name, value in VALUES.items()
        ]
        countries = [{"country": name, "probability": value} for name, value in COUNTRIES.items()]
        content = {"countries": countries, "features": features, "missing": ["tempo"], "model": MODEL}
        send(route, {**SONG, **content, "features_as_of": "2024-03-01T12:00:00+00:00"})


def send(route: Route, content: dict[str, Any], status: int = 200) -> None:
    route.fulfill(status=status, body=json.dumps(content), content_type="application/json")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """A page in which no script may fail."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.route("**/*", service.handle)
    yield page
    page.close()
    assert wrong == []


def search(page: Page, text: str) -> None:
    page.get_by_role("combobox").fill(text)
    page.get_by_role("combobox").press("Enter")


def test_free_text_without_results_is_no_id(page: Page, service: Service) -> None:
    page.clock.install()
    page.goto(ORIGIN)
    search(page, "no such song")
    expect(page.get_by_role("heading", name="No results")).to_be_visible()
    expect(page.locator("#problem-text")).to_contain_text("No song matches “no such song”.")
    asked = service.asked
    with page.expect_response("**/model"):
        page.clock.fast_forward(2000)
    assert service.asked > asked
    assert service.predictions == []


def test_free_text_in_the_address_is_no_id_either(page: Page) -> None:
    page.goto(f"{ORIGIN}/?song=no+such+song")
    expect(page.get_by_role("heading", name="No results")).to_be_visible()


def test_free_text_opens_the_first_result_without_waiting_for_suggestions(page: Page) -> None:
    page.goto(ORIGIN)
    search(page, "golden")
    expect(page.get_by_role("heading", name="Golden River")).to_be_visible()


def test_any_text_is_an_id_where_songs_have_no_names(page: Page, service: Service) -> None:
    service.searchable = False
    page.goto(ORIGIN)
    search(page, KNOWN.lower())
    expect(page.get_by_role("heading", name="Not in the feature store yet")).to_be_visible()
    search(page, "some-id")
    expect(page.locator("#problem-text")).to_contain_text("some-id")


def test_only_the_first_request_for_an_unknown_id_counts(page: Page, service: Service) -> None:
    page.clock.install()
    page.goto(ORIGIN)
    search(page, UNKNOWN)
    expect(page.get_by_role("heading", name="Not in the feature store yet")).to_be_visible()
    with page.expect_response("**/predict/**"):
        page.clock.fast_forward(2000)
    assert service.predictions == [f"{UNKNOWN}?top=300", f"{UNKNOWN}?top=300&poll=true"]


def test_bars_and_numbers_are_what_they_say(page: Page) -> None:
    page.goto(f"{ORIGIN}/?song={KNOWN}")
    expect(page.locator("#scale")).to_contain_text(re.compile("0%.*20%"))
    expect(page.locator("#ranking .percent")).to_have_text(["13.4%", "10.0%", "2.0%", "<0.1%", "0.0%"])
    expect(page.locator("#ranking .bar").nth(1)).to_have_attribute("style", "width: 50%;")
    values = page.locator("#features dd")
    expect(values).to_have_text(["0.81", "−6.5 dB", "F", "−0.25", "null in the store"])


def test_examples_lead_to_a_prediction_and_back(page: Page) -> None:
    page.goto(ORIGIN)
    page.get_by_role("link", name="Golden River").click()
    expect(page.locator("#by")).to_contain_text("version 7 (test)")
    page.go_back()
    expect(page.get_by_role("heading", name="Examples")).to_be_visible()


def test_links_lead_to_the_user_interfaces_that_are_set(page: Page, service: Service) -> None:
    service.links = {"mlflow": "http://mlflow.test"}
    page.goto(ORIGIN)
    expect(page.get_by_role("link", name="MLflow")).to_have_attribute(
        "href", "http://mlflow.test/#/models/jukebox/versions/7"
    )
    expect(page.get_by_role("link", name="API")).to_have_attribute("href", "openapi.json")
    expect(page.get_by_role("link", name="Airflow")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (320, "light")])
@pytest.mark.parametrize(
    ("query", "shown"), [("", "#examples"), (f"?song={KNOWN}", "#answer"), (f"?song={LONG}", "#problem")]
)
def test_fits_its_window_and_is_accessible(
    page: Page, service: Service, query: str, shown: str, width: int, scheme: Any
) -> None:
    service.links = {"mlflow": "http://mlflow.test", "airflow": "http://airflow.test"}
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{ORIGIN}/{query}")
    expect(page.locator(shown)).to_be_visible()
    expect(page.get_by_role("link", name="Airflow")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE)
    violations = page.evaluate("axe.run().then((found) => found.violations)")
    assert [(item["id"], item["nodes"][0]["html"]) for item in violations] == []

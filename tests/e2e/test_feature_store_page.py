"""The page *Feature store* in Airflow shows what is in this stack, to those who are signed in."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import FrameLocator, Locator, Page, expect

from demo.asking import ask
from demo.scene import DAG_ID, PROMOTION_DAG_ID, TRAINING_DAG_ID, Scene
from feature_ops.feast.ledger import Ledger

SERVICE = "feature_repo/feature_service.py"
# The page asks anew every ten seconds.
SOON = 30_000


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """Time for the page to ask again."""
    expect.set_options(timeout=SOON)
    yield
    expect.set_options(timeout=None)


@pytest.fixture
def page(scene: Scene, airflow: Page) -> FrameLocator:
    """The page, as the navigation leads to it."""
    airflow.goto(scene.stack.airflow_url)
    airflow.get_by_role("link", name="Features").click()
    frame = airflow.frame_locator("iframe[title='Features']")
    expect(frame.get_by_role("heading", name="Feature store", level=1)).to_be_visible(timeout=SOON)
    return frame


def part(page: FrameLocator, name: str) -> Locator:
    return page.locator(f"[data-part={name}]")


def test_views_are_shown_as_they_are_online(scene: Scene, page: FrameLocator) -> None:
    store = scene.feature_store
    store.refresh_registry()
    features = store.get_feature_view("song_properties").features
    ledger = Ledger(scene.stack.environment()["FEAST_REGISTRY_URL"])
    files = ledger.online(store.project, "song_properties").values()
    newest = max(file.last_event for file in files if file.last_event)

    row = part(page, "views").get_by_role("row").filter(has_text="song_properties")
    expect(row).to_contain_text(f"{sum(file.rows for file in files):,}")
    expect(row).to_contain_text(f"{len(features)} features")
    expect(row).to_contain_text("fresh")
    expect(row.locator("time").first).to_have_attribute("datetime", newest.isoformat())
    etl = part(page, "pipelines").locator(f"[data-dag={DAG_ID}]")
    expect(etl.locator(".lead")).to_have_text(re.compile(r"\w"))
    expect(etl.locator(".strip a")).not_to_have_count(0)
    part(page, "views").get_by_text("Features of song_properties").click()
    row = part(page, "views").get_by_role("row").filter(has_text=features[0].name).first
    expect(row).to_contain_text(str(features[0].dtype))
    expect(row).to_contain_text(re.compile(r"serving_fs|jukebox v\d"))
    expect(page.locator("[data-chart=loads] .bar")).not_to_have_count(0)


def test_the_navigation_shows_the_page_with_its_icon(airflow: Page, page: FrameLocator) -> None:
    entry = airflow.get_by_role("link", name="Features")
    expect(entry).to_have_text("Features")
    icon = entry.locator("img")
    expect(icon).to_have_js_property("complete", True)
    assert icon.evaluate("image => image.naturalWidth") > 0


def test_models_are_those_that_answer(scene: Scene, page: FrameLocator) -> None:
    for alias, shown in (("champion", "production"), ("test", "test")):
        version = ask(scene.stack.model_url(alias), "/model").content["version"]
        row = part(page, "models").get_by_role("row").filter(has_text=f"jukebox {shown}")
        expect(row).to_contain_text(f"version {version}")
        url = scene.stack.model_url(alias)
        expect(page.get_by_role("link", name=f"Model: {shown}")).to_have_attribute("href", url)


def test_a_commit_that_fails_is_told_with_its_reason_until_it_is_mended(
    scene: Scene, page: FrameLocator
) -> None:
    before = part(page, "commits").locator(".commit").first.inner_text()
    push = scene.data_scientist.push("Break the page", {SERVICE: lambda text: f"{text}\nserving_fs = (\n"})
    scene.follow(push)
    notice = page.get_by_role("alert").filter(has_text="Commit not applied")
    expect(notice).to_contain_text("Break the page")
    expect(notice).to_contain_text("feature_service.py:")
    expect(part(page, "commits").locator(".commit").first).to_have_text(before)

    edits = {SERVICE: lambda text: text.replace("\nserving_fs = (\n", "")}
    scene.follow(scene.data_scientist.push("Mend the page", edits))
    expect(notice).to_have_count(0)
    expect(part(page, "commits")).to_contain_text("Mend the page")


def test_what_waits_for_a_person_is_shown_and_leads_to_the_question(
    scene: Scene, airflow: Page, page: FrameLocator
) -> None:
    in_production = ask(scene.stack.model_url("champion"), "/model").content["version"]
    other = "2" if in_production == "1" else "1"
    run_id = scene.api.trigger(PROMOTION_DAG_ID, {"model_version": other})
    scene.waiting_promotion(other)

    decide = part(page, "waiting").locator(f"a[href*='{quote(run_id, safe='')}']")
    expect(decide).to_be_visible(timeout=SOON)
    question = f"Promote jukebox v{other} to production"
    expect(decide.locator("xpath=ancestor::li")).to_contain_text(question)
    decide.click()
    airflow.wait_for_url(re.compile(f"{quote(run_id, safe='')}.*/required_actions"))
    expect(airflow.get_by_text(question).first).to_be_visible()
    expect(airflow.get_by_role("button", name="Reject").first).to_be_visible()

    scene.decide(run_id, "Reject", why="only looking")
    airflow.go_back()
    frame = airflow.frame_locator("iframe[title='Features']")
    expect(part(frame, "models")).to_be_visible(timeout=SOON)
    expect(frame.locator(f"a[href*='{quote(run_id, safe='')}'][class*=primary]")).to_have_count(
        0, timeout=SOON
    )


Altered = Callable[..., FrameLocator]


@pytest.fixture
def altered(scene: Scene, airflow: Page) -> Iterator[Altered]:
    """Shows the page with some parts of its status replaced."""
    address = "**/feature-store/status"

    def show(**changes: object) -> FrameLocator:
        airflow.route(address, lambda route: route.fulfill(json={**route.fetch().json(), **changes}))
        airflow.goto(f"{scene.stack.airflow_url}/plugin/feature-store")
        return airflow.frame_locator("iframe[title='Features']")

    yield show
    airflow.unroute(address)


def test_stale_data_are_reported_with_a_link_to_their_dag(altered: Altered) -> None:
    page = altered(old_after=0.001)
    notice = page.get_by_role("status").filter(has_text="Stale data")
    expect(notice).to_contain_text("song_properties: no load for")
    expect(notice.get_by_role("link", name=DAG_ID)).to_have_attribute("href", re.compile(f"/dags/{DAG_ID}$"))
    expect(part(page, "views").get_by_role("row").filter(has_text="song_properties")).to_contain_text("stale")


def test_an_empty_store_says_what_to_do(altered: Altered) -> None:
    nothing = {"applied": None, "evaluated": [], "newest": None}
    page = altered(views=[], models=[], pipelines=[], commits=nothing)
    expect(part(page, "empty")).to_contain_text("Trigger the DAG that loads a dataset")
    for dag_id in (DAG_ID, TRAINING_DAG_ID):
        expect(part(page, "empty").locator(f"a[href$='/dags/{dag_id}']")).to_be_visible()


def test_the_page_follows_airflows_theme(airflow: Page, page: FrameLocator) -> None:
    for theme, scheme in (("dark", "dark"), ("light", "light")):
        airflow.evaluate(f"localStorage.setItem('theme', '{theme}')")
        airflow.reload()
        expect(page.locator("html")).to_have_css("color-scheme", scheme)
        mine = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        theirs = airflow.locator("html").evaluate("html => getComputedStyle(html).backgroundColor")
        assert mine == theirs


def test_tasks_link_to_what_they_made(scene: Scene, airflow: Page) -> None:
    trained = next(
        run["dag_run_id"]
        for run in scene.training_runs()
        if scene.api.task_states(TRAINING_DAG_ID, run["dag_run_id"])["deploy_test"] == "success"
    )
    facts = scene.api.xcom(TRAINING_DAG_ID, trained, "deploy_test")
    task = f"dags/{TRAINING_DAG_ID}/runs/{quote(trained, safe='')}/tasks/deploy_test"
    airflow.goto(f"{scene.stack.airflow_url}/{task}/details")
    address = re.compile(re.escape(scene.stack.model_url("test")))
    expect(airflow.get_by_role("link", name="Model page")).to_have_attribute("href", address)
    mlflow = airflow.get_by_role("link", name="MLflow run")
    airflow.goto(str(mlflow.get_attribute("href")))
    airflow.wait_for_url(re.compile(rf"#/experiments/\d+/runs/{facts['run_id']}"))


def test_a_stranger_is_refused(scene: Scene) -> None:
    url = f"{scene.stack.airflow_url}/feature-store"
    for path in ("/", "/status", "/page.js"):
        answer = requests.get(f"{url}{path}", timeout=10)
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("Signed out")
    wrong = requests.get(f"{url}/status", headers={"Authorization": "Bearer wrong"}, timeout=10)
    assert wrong.status_code == 403
    assert wrong.json()["detail"].startswith("Access denied")


def test_the_page_says_so_when_the_object_store_does_not_answer(scene: Scene, page: FrameLocator) -> None:
    children = scene.stack.servers.processes.children
    store = next(child.process for child in children if child.name == "object-store")
    os.kill(store.pid, signal.SIGSTOP)
    try:
        notice = page.get_by_role("alert").filter(has_text="Object store not readable")
        expect(notice).to_contain_text(
            re.compile("does not (answer|respond)|did not respond"), timeout=2 * SOON
        )
        # What was read before stays.
        expect(part(page, "views")).to_contain_text("song_properties")
    finally:
        os.kill(store.pid, signal.SIGCONT)
    expect(notice).to_have_count(0, timeout=2 * SOON)

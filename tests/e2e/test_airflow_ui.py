"""What a person sees and does in Airflow, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.scene import DAG_ID, Scene
from feature_ops.form_errors import EXPECTED


@pytest.fixture(scope="module")
def page(scene: Scene, browser: Browser) -> Iterator[Page]:
    """A browser page that is signed in to Airflow."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    page.goto(scene.stack.airflow_url)
    page.fill("input[name=username]", scene.stack.admin_login)
    page.fill("input[name=password]", scene.stack.admin_password)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(home)?$"))
    yield page
    page.close()


def test_the_form_explains_its_fields_and_starts_a_run(scene: Scene, page: Page) -> None:
    song = scene.new.assign(spotify_id="TypedIntoTheForm000000")
    url = scene.put_in_inbox("typed.parquet", song)

    page.goto(f"{scene.stack.airflow_url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    page.fill("#element_dataset_url", "https://ada:hunter2@example.org/songs.parquet")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Trigger").last.click()
    refused = page.get_by_text(EXPECTED["dataset_url"])
    expect(refused).to_be_visible()
    expect(refused).not_to_contain_text("hunter2")
    for title in ("Dataset URL", "Repository URL", "Event timestamp column", "Full refresh"):
        expect(form.get_by_text(title).first).to_be_visible()
    expect(
        form.get_by_text("Parquet file to ingest. Rows that are already known are left out.")
    ).to_be_visible()
    page.fill("#element_dataset_url", url)
    page.keyboard.press("Tab")
    # By keyboard: the message of the refusal covers the button for some seconds.
    page.get_by_role("button", name="Trigger").last.press("Enter")
    page.wait_for_url(re.compile(r"/runs/manual__"))

    run_id = page.url.rstrip("/").rsplit("/", 1)[1]
    assert scene.api.wait(DAG_ID, run_id, timeout=180) == "success"
    assert scene.online(["TypedIntoTheForm000000"]).notna().all(axis=None)

    run = f"{scene.stack.airflow_url}/dags/{DAG_ID}/runs/{run_id}"
    page.goto(f"{run}/tasks/validate")
    page.get_by_text("Storage", exact=True).click()
    expect(page.get_by_text("1 new row, 0 already known")).to_be_visible()

    page.goto(f"{run}/tasks/version_with_dvc/details")
    link = page.get_by_role("link", name="Git commit")
    commit = scene.api.xcom(DAG_ID, run_id, "version_with_dvc")["commit"]
    page.goto(str(link.get_attribute("href")))
    expect(page.get_by_text(commit[:7]).first).to_be_visible()

"""What a person sees and does in Airflow, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from demo.scene import DAG_ID, Scene
from feature_ops.form_errors import EXPECTED


def test_the_form_explains_its_fields_and_starts_a_run(scene: Scene, airflow: Page) -> None:
    song = scene.new.assign(spotify_id="TypedIntoTheForm000000")
    url = scene.put_in_inbox("typed.parquet", song)

    airflow.goto(f"{scene.stack.airflow_url}/dags/{DAG_ID}")
    airflow.get_by_role("button", name="Trigger").first.click()
    form = airflow.get_by_role("dialog")
    airflow.fill("#element_dataset_url", "https://ada:hunter2@example.org/songs.parquet")
    airflow.keyboard.press("Tab")
    airflow.get_by_role("button", name="Trigger").last.click()
    refused = airflow.get_by_text(EXPECTED["dataset_url"])
    expect(refused).to_be_visible()
    expect(refused).not_to_contain_text("hunter2")
    for title in ("Dataset URL", "Repository URL", "Event timestamp column", "Full refresh"):
        expect(form.get_by_text(title).first).to_be_visible()
    expect(
        form.get_by_text("Parquet file to ingest. Rows that are already known are left out.")
    ).to_be_visible()
    airflow.fill("#element_dataset_url", url)
    airflow.keyboard.press("Tab")
    # By keyboard: the message of the refusal covers the button for some seconds.
    airflow.get_by_role("button", name="Trigger").last.press("Enter")
    airflow.wait_for_url(re.compile(r"/runs/manual__"))

    run_id = airflow.url.rstrip("/").rsplit("/", 1)[1]
    assert scene.api.wait(DAG_ID, run_id, timeout=180) == "success"
    assert scene.online(["TypedIntoTheForm000000"]).notna().all(axis=None)

    run = f"{scene.stack.airflow_url}/dags/{DAG_ID}/runs/{run_id}"
    airflow.goto(f"{run}/tasks/validate")
    airflow.get_by_text("Storage", exact=True).click()
    expect(airflow.get_by_text("1 new row, 0 already known")).to_be_visible()

    airflow.goto(f"{run}/tasks/version_with_dvc/details")
    link = airflow.get_by_role("link", name="Git commit")
    commit = scene.api.xcom(DAG_ID, run_id, "version_with_dvc")["commit"]
    airflow.goto(str(link.get_attribute("href")))
    expect(airflow.get_by_text(commit[:7]).first).to_be_visible()

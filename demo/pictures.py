"""
Make the pictures of the README from a stack of its own: at two pixels per point, light and dark.

Plays the first acts of the story, so that each page has something to show. Needs Chromium.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.acts import ACTS
from demo.errors import DemoError
from demo.scene import DAG_ID, PROMOTION_DAG_ID, TRAINING_DAG_ID, Scene
from demo.songs import write_catalogue
from demo.stack import Stack
from demo.story import cast, written

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
THEMES = ("light", "dark")
_LAST_ACT = "loudness_is_commented_out"
# Leaves an error on the page.
_LEFT_OUT = "file_crashes_the_parser"
_SIZE = {"width": 1280, "height": 800}
_PATIENCE_MS = 60_000
_COLORS = 256


def make(folder: Path = FOLDER) -> None:
    """Start a stack, play, and write ``<name>-light.png`` and ``<name>-dark.png`` of each page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise DemoError("Chromium is needed: install it first.")
    with tempfile.TemporaryDirectory(prefix="feature-ops-pictures-") as home:
        base = written(Path(home) / "catalogue.parquet", write_catalogue)
        actors = cast(Path(home), base)
        stack = Stack(Path(home) / "stack", catalogue=base)
        try:
            stack.start(lambda line: print(f"  {line}", flush=True))
            scene = Scene(stack, *actors)
            _play(scene)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                for theme in THEMES:
                    for name, picture in _pictures(scene, browser, theme).items():
                        _write(picture, folder / f"{name}-{theme}.png")
                browser.close()
        finally:
            stack.stop()


def _play(scene: Scene) -> None:
    for act in ACTS:
        if act.play.__name__ == _LEFT_OUT:
            continue
        print(f"  {act.title}: {act.play(scene)}", flush=True)
        if act.play.__name__ == _LAST_ACT:
            break
    scene.waiting_promotion("2")
    scene.reader.stop()
    for crowd in scene.crowds.values():
        crowd.stop()


def _pictures(scene: Scene, browser: Browser, theme: str) -> dict[str, bytes]:
    context = browser.new_context(viewport=_SIZE, device_scale_factor=2, color_scheme=theme)  # type: ignore[arg-type]
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    _sign_in(page, scene)
    pages: dict[str, Callable[[Page, Scene], bytes]] = {
        "trigger-form": _trigger_form,
        "run": _run,
        "approval": _approval,
        "feature-store": _feature_store,
        "model": _model,
    }
    pictures = {name: take(page, scene) for name, take in pages.items()}
    context.close()
    return pictures


def _sign_in(page: Page, scene: Scene) -> None:
    assert isinstance(scene.stack, Stack)
    page.goto(scene.stack.airflow_url)
    page.fill("input[name=username]", scene.stack.admin_login)
    page.fill("input[name=password]", scene.stack.admin_password)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(home)?$"))


def _trigger_form(page: Page, scene: Scene) -> bytes:
    page.goto(f"{scene.stack.airflow_url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    page.fill("#element_dataset_url", "s3://drops/songs/2024-09-01.parquet")
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)  # the dialog moves in
    return page.screenshot()


def _run(page: Page, scene: Scene) -> bytes:
    run_id = next(
        run["dag_run_id"]
        for run in scene.training_runs()
        if scene.api.task_states(TRAINING_DAG_ID, run["dag_run_id"])["deploy_test"] == "success"
    )
    page.goto(f"{scene.stack.airflow_url}/dags/{TRAINING_DAG_ID}/runs/{quote(run_id, safe='')}")
    expect(page.get_by_role("link", name="deploy_test").first).to_be_visible()
    return page.screenshot()


def _approval(page: Page, scene: Scene) -> bytes:
    run_id = quote(scene.waiting_promotion("2"), safe="")
    page.goto(
        f"{scene.stack.airflow_url}/dags/{PROMOTION_DAG_ID}/runs/{run_id}/tasks/approve/required_actions"
    )
    expect(page.get_by_role("button", name="Reject").first).to_be_visible()
    return page.screenshot(full_page=True)


def _feature_store(page: Page, scene: Scene) -> bytes:
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.goto(f"{scene.stack.airflow_url}/plugin/feature-store")
    frame = page.frame_locator("iframe[title='Features']")
    expect(frame.locator("[data-part=models]")).to_be_visible()
    picture = page.screenshot()
    page.set_viewport_size(_SIZE)  # type: ignore[arg-type]
    return picture


def _model(page: Page, scene: Scene) -> bytes:
    page.goto(scene.stack.model_url("test"))
    page.get_by_role("combobox").fill(scene.song_id)
    page.keyboard.press("Enter")
    expect(page.locator("#ranking li").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    return page.screenshot()


def _write(picture: bytes, path: Path) -> None:
    """Write a picture with a palette: a third of the bytes, and no difference to be seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"  {path}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    make()

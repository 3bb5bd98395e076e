"""What `make story` plays, in a real scheduler; all the while a tab is open that nobody loads again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.acts import ACTS, Act
from demo.scene import KEY, Scene


@pytest.fixture(scope="module")
def tab(scene: Scene, browser: Browser) -> Iterator[Page]:
    """The page of the model in test."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(30_000)
    tab.goto(scene.stack.model_url("test"))
    yield tab
    tab.close()


def search(tab: Page, text: str) -> None:
    box = tab.get_by_role("combobox")
    box.fill(text)
    box.press("Enter")


def nobody_knows_the_new_song(tab: Page, scene: Scene) -> None:
    search(tab, scene.song_id)
    expect(tab.get_by_role("heading", name="Not in the feature store yet")).to_be_visible()


def its_prediction_has_appeared_by_itself(tab: Page, scene: Scene) -> None:
    expect(tab.locator("#by")).to_contain_text("version 1 (test)")
    chances = scene.predict(scene.song_id, "test").countries.values()
    expect(tab.locator("#ranking li").first).to_contain_text(f"{100 * max(chances):.1f}%")


def a_song_of_the_catalogue_is_found_by_name(tab: Page, scene: Scene) -> None:
    words = str(scene.base["name"].dropna().iloc[0])
    tab.get_by_role("combobox").fill(words)
    first = tab.get_by_role("option").first
    expect(first).to_be_visible()
    song = str(first.get_attribute("data-song"))
    assert song in set(scene.base.loc[scene.base["name"].str.contains(words.split()[0], na=False), KEY])
    tab.keyboard.press("Enter")
    expect(tab.locator("#id")).to_contain_text(song)
    expect(tab.locator("#features dt")).to_have_count(13)


def the_same_search_is_answered_otherwise(tab: Page, scene: Scene) -> None:
    expect(tab.locator("#by")).to_contain_text("version 2 (test)")
    expect(tab.locator("#by")).to_contain_text("arrows compare with version 1")
    expect(tab.locator("#features dt")).to_have_count(12)


LOOKS: dict[str, list[Callable[[Page, Scene], None]]] = {
    "new_song_is_unknown": [nobody_knows_the_new_song],
    "song_is_online": [its_prediction_has_appeared_by_itself, a_song_of_the_catalogue_is_found_by_name],
    "loudness_is_commented_out": [the_same_search_is_answered_otherwise],
}


def steps() -> Iterator[Any]:
    for act in ACTS:
        yield pytest.param(act, id=act.play.__name__)
        for look in LOOKS.get(act.play.__name__, ()):
            yield pytest.param(look, id=look.__name__)


@pytest.mark.parametrize("step", steps())
def test_story(
    step: Act | Callable[[Page, Scene], None], scene: Scene, request: pytest.FixtureRequest
) -> None:
    if isinstance(step, Act):
        print(step.play(scene))
    else:
        step(request.getfixturevalue("tab"), scene)

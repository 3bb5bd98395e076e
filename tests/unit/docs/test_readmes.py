"""Both READMEs tell the same."""

from __future__ import annotations

import re

from demo.acts import ACTS
from tests.unit.docs.pages import blocks, headings, links, spans, text_of

ENGLISH, KOREAN = "README.md", "README.ko.md"


def test_they_have_the_same_sections_in_the_same_order() -> None:
    assert [level for level, _ in headings(ENGLISH)] == [level for level, _ in headings(KOREAN)]


def test_they_give_the_same_commands_and_mark_the_same() -> None:
    told = [
        [(one.language, one.commands(), one.is_marked("")) for one in blocks(page) if one.language == "bash"]
        for page in (ENGLISH, KOREAN)
    ]
    assert told[0] == told[1]


def test_their_drawings_have_the_same_arrows() -> None:
    arrows = [
        [re.findall(r"-->|-\.|\.->", one.text) for one in blocks(page) if _drawn(one)]
        for page in (ENGLISH, KOREAN)
    ]
    assert len(arrows[0]) == 2
    assert arrows[0] == arrows[1]


def _drawn(block: object) -> bool:
    return getattr(block, "language", "") == "mermaid"


def test_they_lead_to_the_same_pages_and_show_the_same_pictures() -> None:
    told = [[target for target in links(page) if "README" not in target] for page in (ENGLISH, KOREAN)]
    without_anchors = [[t for t in targets if not t.startswith("#")] for targets in told]
    assert without_anchors[0] == without_anchors[1]


def test_their_lists_and_tables_are_as_long() -> None:
    for item in (r"^- \*\*", r"^\d+\. ", r"^\| "):
        counts = [len(re.findall(item, text_of(page), re.MULTILINE)) for page in (ENGLISH, KOREAN)]
        assert counts[0] == counts[1], item


def test_the_story_has_as_many_acts_as_are_played() -> None:
    for page in (ENGLISH, KOREAN):
        told = re.findall(r"^(\d+)\. ", text_of(page), re.MULTILINE)
        assert told == [str(number) for number in range(1, len(ACTS) + 1)]


def test_they_name_the_same_things() -> None:
    """Names of DAGs, steps, files and commands are the same in every language."""
    english, korean = set(spans(ENGLISH)), set(spans(KOREAN))
    assert english == korean


def test_the_first_thing_is_how_to_start() -> None:
    for page in (ENGLISH, KOREAN):
        assert blocks(page)[0].text.startswith("make demo")

"""What the documentation names is there: links, pictures, files, settings, targets of make, variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.compose.passwords import SECRETS
from feature_ops.settings import Settings
from tests.conftest import PROJECT
from tests.unit.docs.pages import PAGES, anchor, headings, links, spans, text_of

LARGEST_PICTURE = 200_000
TARGETS = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = {"dags", "plugins", "feature_repo", "model", "demo", "deploy", "docs", "tests", "benchmarks"}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in links(page):
        if target.startswith("http"):
            continue
        path, _, wanted = target.partition("#")
        file = (PROJECT / page).parent / path if path else PROJECT / page
        assert file.exists(), f"{page} links to {target}"
        if wanted:
            there = {anchor(title) for _, title in headings(str(file.resolve().relative_to(PROJECT)))}
            assert wanted in there, f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_exists(page: str) -> None:
    named = set(re.findall(r"`make ([a-z-]+)", text_of(page)))
    named |= set(re.findall(r"^\s*make ([a-z-]+)", text_of(page), re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_exists(page: str) -> None:
    known = {f"FEATURE_OPS_{name.upper()}" for name in Settings.model_fields}
    for name, wildcard in re.findall(r"\b(FEATURE_OPS_[A-Z0-9_]*[A-Z0-9]|FEATURE_OPS)(_\*)?", text_of(page)):
        found = {one for one in known if one.startswith(name)} if wildcard else known & {name}
        assert found or name == "FEATURE_OPS", f"{page} names {name}"


def test_the_table_of_settings_for_pods_is_whole() -> None:
    told = {name for span in spans("docs/kubernetes.md") for name in re.findall(r"^[A-Z_]+$", span)}
    pods = {name.upper() for name in Settings.model_fields if name.startswith("training_")}
    assert pods <= told


@pytest.mark.parametrize("page", PAGES)
def test_every_file_exists(page: str) -> None:
    for span in spans(page):
        for word in span.split():
            path = word.rstrip(",;:/").removeprefix("./")
            if path.split("/")[0] in FOLDERS and re.fullmatch(r"[\w./-]+", path) and "/" in path:
                assert (PROJECT / path).exists(), f"{page} names {span}"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_exists(page: str) -> None:
    there = {
        name
        for file in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    for span in spans(page):
        if re.fullmatch(r"test_\w+", span):
            assert span in there, f"{page} names {span}"


@pytest.mark.parametrize("page", PAGES)
def test_each_row_of_a_table_has_as_many_cells_as_its_head(page: str) -> None:
    head = 0
    for line in text_of(page).splitlines():
        row = line.strip()
        if not row.startswith("|"):
            head = 0
            continue
        cells = len(re.sub(r"`[^`]*`|\\\|", "", row).split("|")) - 2
        head = head or cells
        assert cells == head, f"{page}: {line}"


def test_pictures_are_small() -> None:
    pictures = list((PROJECT / "docs" / "images").iterdir())
    assert pictures
    assert {picture.name for picture in pictures} == shown("README.md")
    for picture in pictures:
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name


def shown(page: str) -> set[str]:
    """Return the names of the pictures that a page shows."""
    return {Path(target).name for target in links(page) if target.endswith(".png")}


def test_every_password_of_the_containers_can_be_rotated_by_the_page() -> None:
    page = text_of("docs/operations.md").partition("## Rotate secrets")[2].partition("\n## ")[0]
    assert [name for name in SECRETS if f"`{name}`" not in page] == []

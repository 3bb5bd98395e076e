"""The locked requirements install anywhere, the same for users and developers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]


def pins(name: str) -> set[str]:
    """Return the lines that lock a package, some of them for some versions of Python only."""
    return {line for line in (PROJECT / name).read_text().splitlines() if re.match(r"[a-z0-9]", line)}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "model/requirements.txt"])
def test_every_requirement_is_pinned_and_none_names_an_index_or_a_path(name: str) -> None:
    assert len(pins(name)) > 100
    assert [pin for pin in pins(name) if not re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[0-9]", pin)] == []
    text = (PROJECT / name).read_text()
    assert not re.search(r"https?://|file:|^-|^/", text, re.MULTILINE)


def versions(name: str) -> set[str]:
    """Return what a lock installs, without what decides where it is installed."""
    return {re.sub(r"\[.*\]", "", pin.split(" ;")[0]) for pin in pins(name)}


@pytest.mark.parametrize("name", ["requirements.txt", "model/requirements.txt"])
def test_developers_have_the_versions_that_users_have(name: str) -> None:
    assert versions(name) <= versions("requirements-dev.txt")


@pytest.mark.parametrize("name", ["requirements", "model/requirements"])
def test_what_is_asked_for_is_what_is_locked(name: str) -> None:
    lines = (PROJECT / f"{name}.in").read_text().splitlines()
    asked = {re.sub(r"\[.*\]", "", line.split("#")[0]).strip() for line in lines} - {""}
    locked = versions(f"{name}.txt")
    assert asked <= locked | {version.split("==")[0] for version in locked}

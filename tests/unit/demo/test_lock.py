"""The locked requirements install anywhere, the same for users and developers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]


def pins(name: str) -> set[str]:
    """Return the lines that lock a package, some of them for some versions of Python only."""
    return {line for line in (PROJECT / name).read_text().splitlines() if re.match(r"[a-z0-9]", line)}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_none_names_an_index_or_a_path(name: str) -> None:
    assert len(pins(name)) > 100
    assert [pin for pin in pins(name) if not re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[0-9]", pin)] == []
    text = (PROJECT / name).read_text()
    assert not re.search(r"https?://|file:|^-|^/", text, re.MULTILINE)


def test_developers_have_the_versions_that_users_have() -> None:
    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_what_is_asked_for_is_what_is_locked() -> None:
    lines = (PROJECT / "requirements.in").read_text().splitlines()
    asked = {re.sub(r"\[.*\]", "", line.split("#")[0]).strip() for line in lines} - {""}
    assert asked <= {re.sub(r"\[.*\]", "", pin) for pin in pins("requirements.txt")}

"""What docs/operations.md quotes is what the code says, and what Prometheus is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from jukebox.serving.asked import Asked
from jukebox.serving.metrics import Metrics
from jukebox.serving.model_state import ModelState
from tests.conftest import PROJECT
from tests.unit.docs.pages import text_of

PAGE = text_of("docs/operations.md")
GAP = "\0"


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


TWELVE = section("Twelve things that go wrong")
QUOTED = [
    " ".join(quote.replace("> ", "").split()).strip("`")
    for quote in re.findall(r"^> `(?:.+\n> )*.+`$", TWELVE, re.MULTILINE)
]
# Put together from what Python says; tests of definitions that do not load see it.
LOADING = re.compile(r"commit [0-9a-f]{10}: \w+\.py:\d+: \w+Error: .+")
SHORTEST = 20


@cache
def said() -> list[str]:
    """Return every text of the code, with a mark where a value is put in."""
    files = [file for folder in ("plugins", "model") for file in (PROJECT / folder).rglob("*.py")]
    return [text for file in files for text in _texts(ast.parse(file.read_text(encoding="utf-8")))]


def _texts(module: ast.AST) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_there_are_twelve_things() -> None:
    assert re.findall(r"^\*\*(\d+)\. ", TWELVE, re.MULTILINE) == [str(n) for n in range(1, 13)]
    assert len(QUOTED) == 13


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_line_that_is_quoted_is_said_by_the_code(quoted: str) -> None:
    assert LOADING.fullmatch(quoted) or any(pattern.fullmatch(quoted) for pattern in patterns()), quoted


@cache
def patterns() -> list[re.Pattern[str]]:
    """Return the code's texts as patterns, those that are long enough to tell one from another."""
    long = (text for text in said() if len(text.replace(GAP, "")) >= SHORTEST and "\n" not in text)
    return [re.compile(re.escape(text.replace("`", "")).replace(GAP, ".+?")) for text in long]


def test_every_metric_is_told_with_its_labels() -> None:
    metrics = Metrics()
    metrics.watch(ModelState(lambda: None, Asked()))
    exposed = set(re.findall(r"^# TYPE (\w+)", metrics.exposition().decode(), re.MULTILINE))
    exposed = {name for name in exposed if not name.endswith("_created")}
    told = set(re.findall(r"`(jukebox_\w+)", section("Metrics")))
    assert told == exposed


def test_every_alert_is_told_with_its_time_and_severity() -> None:
    groups = yaml.safe_load((PROJECT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        (row,) = re.findall(rf"^\| `{rule['alert']}` \|(.*)$", PAGE, re.MULTILINE)
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[1] == rule["for"].replace("m", " min")
        assert cells[2] == rule["labels"]["severity"]
        assert cells[3].startswith("yes" if rule["labels"].get("trains") == "yes" else "no")

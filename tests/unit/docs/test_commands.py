"""Every command of the documentation is run by a test, or its page says that none runs it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_ops.settings import Settings
from tests.conftest import PROJECT
from tests.unit.docs.commands import RUN, TALKED_OF, WHOLE, Run, run_of
from tests.unit.docs.made import copy_project, environment, make
from tests.unit.docs.pages import PAGES, SHELL, Block, blocks, named_commands

LANGUAGES = {*SHELL, "json", "mermaid", "python", "text", "yaml"}
CHEAP = [command for command in RUN if "-m jukebox" in command]


def given() -> Iterator[tuple[Block, str]]:
    """Yield each command of a block, with the block."""
    for page in PAGES:
        for block in blocks(page):
            if block.language in SHELL:
                yield from ((block, command) for command in block.commands())


def named() -> Iterator[tuple[str, str]]:
    """Yield page and command of each command that stands in a sentence."""
    for page in PAGES:
        yield from ((page, command) for command in named_commands(page) if command not in TALKED_OF)


def parameters(found: Iterator[tuple[Any, str]]) -> list[Any]:
    pairs = dict.fromkeys((place if isinstance(place, str) else place.page, what) for place, what in found)
    return [pytest.param(page, what, id=f"{page}: {what[:60]}") for page, what in pairs]


@pytest.mark.parametrize(("page", "command"), parameters(given()))
def test_a_command_is_run_by_a_test_or_the_page_says_that_none_runs_it(page: str, command: str) -> None:
    marked = all(block.is_marked(one) for block, one in given() if (block.page, one) == (page, command))
    assert run_of(page, command) or marked, (
        f"{page} gives {command!r}, which no test runs: mark it, or run it"
    )


@pytest.mark.parametrize(("page", "command"), parameters(named()))
def test_a_command_that_is_only_named_is_run_or_marked_where_it_is_given(page: str, command: str) -> None:
    marked = any(block.is_marked(one) for block, one in given() if one.split()[:2] == command.split()[:2])
    assert run_of(page, command) or marked, f"{page} names {command!r}, which no test runs and no page marks"


RUNS = {*RUN.values(), *(run for page, run in WHOLE.items() if page in PAGES)}


@pytest.mark.parametrize("run", sorted(RUNS), ids=lambda run: f"{run.test}: {run.shows}")
def test_the_test_that_is_named_is_there_and_shows_the_command(run: Run) -> None:
    path, _, name = run.test.partition("::")
    source = (PROJECT / path).read_text(encoding="utf-8")
    if name:
        source = source_of(source, name)
    assert run.shows in source


def source_of(source: str, name: str) -> str:
    """Return a function's source with its decorators, and the module's first words, which may tell of it."""
    module = ast.parse(source)
    (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    first = min(node.lineno for node in (function, *function.decorator_list))
    return "\n".join([ast.get_docstring(module) or "", *source.splitlines()[first - 1 : function.end_lineno]])


def test_each_entry_is_about_a_command_that_is_there() -> None:
    used = {run_of(block.page, command) for block, command in given()}
    used |= {run_of(page, command) for page, command in named()}
    assert [key for key, run in RUN.items() if run not in used] == []
    assert {command for page in PAGES for command in named_commands(page)} >= TALKED_OF


@pytest.mark.parametrize("command", CHEAP)
def test_a_cheap_command_does_as_it_stands_there(command: str) -> None:
    """``python -m jukebox`` tells its arguments."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT,
        env={"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage: " in done.stdout
    assert "--feature-repo" in done.stdout


def test_make_alone_lists_what_can_be_made(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    command = make("help")
    done = subprocess.run(
        command, cwd=project, env=environment(project), capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"demo", "story", "up", "test"} <= listed


@pytest.mark.parametrize(
    ("target", "called"),
    [
        (("demo",), "python -m demo up"),
        (("demo-reset",), "python -m demo reset"),
        (("shell",), "python -m demo shell"),
        (("story",), "python -m demo story"),
        (("story", "STACK=compose"), 'python -m demo story --stack "compose"'),
        (("up",), "docker compose up --build --detach"),
        (("down",), "docker compose down"),
        (("fuzz",), "FUZZ_EXAMPLES=2000"),
    ],
)
def test_a_target_calls_what_it_says(target: tuple[str, ...], called: str) -> None:
    done = subprocess.run(make("--dry-run", *target), cwd=PROJECT, capture_output=True, text=True, check=True)
    assert called in " ".join(done.stdout.split())


@pytest.mark.parametrize("page", PAGES)
def test_each_block_says_what_language_it_is_in(page: str) -> None:
    """So that no command hides in a block that nobody looks into."""
    assert {block.language for block in blocks(page)} <= LANGUAGES


def test_settings_that_a_page_gives_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        match.groups()
        for page in PAGES
        for block in blocks(page)
        if block.language in SHELL
        for match in re.finditer(r"^(FEATURE_OPS_\w+)=('?)(.*)\2$", block.text, re.MULTILINE)
    ]
    assert given
    for name, _, value in given:
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.training_place == "pod"
    assert settings.training_secrets == ("training-stores",)

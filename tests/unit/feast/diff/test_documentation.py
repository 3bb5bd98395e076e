"""The ready snippets of the documentation are YAML, and call the command as it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from feature_ops.feast.diff.__main__ import _EXIT_CODES, _parser

PAGE = (Path(__file__).parents[4] / "docs" / "diff.md").read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["GitHub", "GitLab"])
def test_a_snippet_calls_the_command_as_it_is(snippet: str) -> None:
    assert yaml.safe_load(snippet)
    calls = re.findall(r"python -m feature_ops\.feast\.diff (.*?) > ", snippet)
    assert len(calls) == 1
    options = _parser("diff").parse_args(shlex.split(calls[0]))
    assert options.format == "markdown"


def test_the_page_names_each_exit_code() -> None:
    for verdict, code in _EXIT_CODES.items():
        assert re.search(rf"\| `{verdict}` \|.*\| {code} \|", PAGE)

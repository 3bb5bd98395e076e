"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.conftest import PROJECT

PAGES = (
    "README.md",
    "README.ko.md",
    "CHANGELOG.md",
    "model/README.md",
    *sorted(str(file.relative_to(PROJECT)) for file in (PROJECT / "docs").glob("*.md")),
)
SHELL = ("bash", "sh", "console")
PROGRAMS = {
    "feature-ops",
    *("airflow", "aws", "curl", "docker", "dvc", "feast", "git", "helm", "k3d", "kind", "kubectl", "make"),
    *("mlflow", "pip", "promtool", "psql", "python", "uv"),
}
# What a page says before a block, of commands that no test runs.
NOT_RUN = ("Not run by the tests", "테스트가 실행하지 않습니다")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_ASSIGNMENTS = re.compile(r"""^(export )?([A-Z][A-Z_0-9]*=('[^']*'|"[^"]*"|[^\s'"(]*)(\s+|$))+$""")


@dataclass(frozen=True)
class Block:
    """
    A fenced block of a page.

    :param heading: the nearest one above it.
    :param note: the paragraph right before it.
    """

    page: str
    heading: str
    language: str
    text: str
    note: str

    def commands(self) -> list[str]:
        """Return its commands, each in one line, without comments; settings of variables alone are none."""
        lines = self.text.splitlines()
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        whole = (" ".join(_without_comment(part).split()) for part in _statements(lines))
        return [command for command in whole if command and not _ASSIGNMENTS.match(command)]

    def is_marked(self, command: str) -> bool:
        """Whether the page says that no test runs the command: the block's, or those that it names."""
        named = re.findall(r"`([^`]+)`", self.note.partition(":")[0])
        return self.note.startswith(NOT_RUN) and (not named or command.startswith(tuple(named)))


@cache
def text_of(page: str) -> str:
    """Return a page's text."""
    return (PROJECT / page).read_text(encoding="utf-8")


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """Return the page's fenced blocks, in order."""
    text = text_of(page)
    found = []
    for fence in _FENCE.finditer(text):
        indent, language, content = fence.groups()
        content = re.sub(f"^{indent}", "", content, flags=re.MULTILINE)
        before = text[: fence.start()].rstrip()
        headings = re.findall(r"^#+ (.*)$", _without_fences(before), re.MULTILINE)
        note = " ".join(before.split("\n\n")[-1].split())
        found.append(Block(page, headings[-1] if headings else "", language, content, note))
    return tuple(found)


def block(page: str, heading: str, holding: str) -> str:
    """Return the text of the one shell block below a heading that holds some words; tests run it as it is."""
    there = [one.text for one in blocks(page) if one.heading == heading and one.language in SHELL]
    (found,) = [text for text in there if holding in text]
    return found


def prose(page: str) -> str:
    """Return the page without its fenced blocks."""
    return _without_fences(text_of(page))


def spans(page: str) -> Iterator[str]:
    """Yield what stands in backticks outside of blocks."""
    yield from _spans(prose(page))


def named_commands(page: str) -> Iterator[str]:
    """
    Yield the commands that sentences name, but for sentences that say that no test runs them.

    What has a gap in it (``…``, ``<name>``) is a pattern and no command.
    """
    # A quotation is what the system says.
    told = (*NOT_RUN, "> ")
    paragraphs = [text for text in prose(page).split("\n\n") if not text.strip().startswith(told)]
    for span in _spans("\n\n".join(paragraphs)):
        if span.partition(" ")[0] in PROGRAMS and " " in span and not re.search("[…<]", span):
            yield span


def links(page: str) -> Iterator[str]:
    """Yield the targets of links and images."""
    for pattern in (r"\]\(([^)\s]+)\)", r"src(?:set)?=\"([^\"]+)\""):
        yield from re.findall(pattern, prose(page))


def headings(page: str) -> list[tuple[int, str]]:
    """Return level and text of each heading."""
    found = re.findall(r"^(#+) (.*)$", prose(page), re.MULTILINE)
    return [(len(marks), title) for marks, title in found]


def anchor(title: str) -> str:
    """Return a heading's anchor, as GitHub makes it."""
    kept = re.sub(r"[^\w\s-]", "", title.lower())
    return re.sub(r"\s", "-", kept.strip())


def _spans(text: str) -> Iterator[str]:
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
        yield " ".join(span.split())


def _without_fences(text: str) -> str:
    return _FENCE.sub("", text)


def _statements(lines: list[str]) -> Iterator[str]:
    """Yield the lines, those together that are one statement of the shell."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        text = "\n".join(held)
        if not text.endswith("\\") and _is_complete(text):
            yield text.replace("\\\n", " ")
            held = []
    if held:
        raise AssertionError(f"the shell finds no end of: {' '.join(held)}")


@cache
def _is_complete(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    # Of a text within a text that has no end it only warns.
    return done.returncode == 0 and not done.stderr


def _without_comment(text: str) -> str:
    return re.sub(r"(^|\s)# .*$", "", text, flags=re.MULTILINE)

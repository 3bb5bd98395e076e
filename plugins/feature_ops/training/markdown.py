"""
Markdown with untrusted text in it, for Airflow's UI.

The UI renders GitHub-flavored markdown without HTML. It turns addresses in plain text into links even where
their characters are escaped, so untrusted text is always a code span: nothing in one is markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

_LENGTH = 200
_BACKTICKS = re.compile("`+")
# What ends a link's target, or the line.
_UNSAFE_IN_URL = re.compile(r"[\s<>\\\x00-\x1f\x7f`|]")


def code(text: str) -> str:
    """
    Return untrusted text as a code span of one line.

    Characters that do not print, such as line breaks and changes of the writing direction, become spaces.
    A vertical bar, which would end a table's cell even within a code span, becomes a broken bar.
    """
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    line = line.replace("|", "¦")
    if len(line) > _LENGTH:
        line = f"{line[:_LENGTH]}…"
    if not line:
        return "(empty)"
    longest = max((len(run) for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def link(label: str, url: str) -> str:
    """
    Return a link.

    :param label: markdown, such as a code span.
    :param url: characters that would end the link are percent-encoded.
    """
    safe = _UNSAFE_IN_URL.sub(lambda found: quote(found[0], safe=""), url)
    return f"[{label}](<{safe}>)"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """
    Return a table.

    :param right: numbers of the columns that are aligned to the right.
    """
    aligned = set(right)
    rule = ["---:" if column in aligned else "---" for column in range(len(titles))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows))

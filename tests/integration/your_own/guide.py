"""Reads a page whose blocks are to be followed: commands, files and what is to be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"# (\S+\.\w+)\n")
_MARK = "@@ block"


@dataclass
class Block:
    """A block of the page: ``bash``, a file (its path stands in the first line), or ``text`` to be seen."""

    kind: str
    content: str

    def script(self) -> str:
        """Return the block as commands of a shell."""
        if self.kind == "bash":
            return self.content
        place = _PLACE.match(self.content)
        assert place, f"this file says not where it is: {self.content[:80]}"
        return (
            f"mkdir -p $(dirname {place[1]})\n"
            f"cat > {place[1]} <<'END_OF_FILE'\n{self.content[place.end() :]}END_OF_FILE\n"
        )


def blocks(page: Path) -> list[Block]:
    """Return the page's blocks in their order."""
    return [Block(kind, content) for kind, content in _BLOCK.findall(page.read_text())]


def script(found: list[Block]) -> str:
    """Return the whole page as one shell script that stops at the first error."""
    parts = ["set -euo pipefail"]
    for number, block in enumerate(found):
        if block.kind != "text":
            parts.append(f"echo; echo '{_MARK} {number}'\n{block.script()}")
    return "\n".join(parts)


def unseen(found: list[Block], said: str) -> Iterator[str]:
    """Yield the lines of text blocks that the command before them did not say; … is anything."""
    spoken = dict(re.findall(rf"^{_MARK} (\d+)\n(.*?)(?=^{_MARK}|\Z)", said, re.MULTILINE | re.DOTALL))
    for number, block in enumerate(found):
        if block.kind == "text":
            for line in block.content.splitlines():
                pattern = ".*".join(re.escape(part) for part in line.split("…"))
                if not re.search(pattern, spoken[str(number - 1)]):
                    yield line

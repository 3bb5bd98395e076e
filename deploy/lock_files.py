"""Lock files as uv writes them: packages with versions, hashes if there are any, and what needs them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[^]]*])?==(?P<version>[^\s;\\]+)"
    r"\s*(;\s*(?P<marker>[^\\]+?))?\s*\\?"
)
_HASH = re.compile(r"\s+--hash=(?P<algorithm>\w+):(?P<digest>[0-9a-f]+)\s*\\?")
_VIA = re.compile(r"\s+#\s+(via\s+)?(?P<source>\S.*)")


@dataclass
class Locked:
    """
    A package in a lock file.

    :param name: normalized.
    :param marker: where it is installed; empty for everywhere.
    :param needed_by: packages that need it; a requirements file as ``-r path``.
    :param hashes: algorithm and digest of each of its distributions.
    """

    name: str
    version: str
    marker: str = ""
    needed_by: list[str] = field(default_factory=list)
    hashes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_direct(self) -> bool:
        """Whether a requirements file names it."""
        return any(source.startswith("-r ") for source in self.needed_by)


def normalized(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> list[Locked]:
    """
    Return the packages of a lock file.

    :raises ValueError: a line is not understood; nothing is left out silently.
    """
    found: list[Locked] = []
    for line in text.splitlines():
        pin, hashed, via = _PIN.fullmatch(line), _HASH.fullmatch(line), _VIA.fullmatch(line)
        if pin:
            found.append(Locked(normalized(pin["name"]), pin["version"], (pin["marker"] or "").strip()))
        elif hashed and found:
            found[-1].hashes.append((hashed["algorithm"], hashed["digest"]))
        elif via and found:
            if via["source"] != "via":
                found[-1].needed_by.append(_source(via["source"]))
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"not a line of a lock file: {line}")
    return found


def closure(packages: Iterable[Locked], roots: Iterable[str]) -> list[Locked]:
    """Return the packages that some packages need, themselves included."""
    known = list(packages)
    wanted = {normalized(root) for root in roots}
    while True:
        more = {one.name for one in known if wanted & set(one.needed_by)} - wanted
        if not more:
            return [one for one in known if one.name in wanted]
        wanted |= more


def _source(text: str) -> str:
    return text.strip() if text.startswith("-") else normalized(text.strip())

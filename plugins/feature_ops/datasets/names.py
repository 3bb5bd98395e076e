"""Names of columns: as they stand in messages, and which of them are nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches

from feature_ops.datasets.violations import shown_value

# A file may have a hundred thousand columns; so many are compared by similarity.
_COMPARED = 1_000
_LONGEST = 200
_INVISIBLE = re.compile(r"[\s\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_SIGNS = re.compile(r"[\W_]+")


def shown_name(name: str) -> str:
    """Return a column's name as it stands in messages: on one line and not longer than that."""
    return shown_value(name)[1:-1] if len(name) < 80 else shown_value(name)


def visible_name(name: str) -> str:
    """Return a name without case, white space, byte order marks and other invisible characters."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", name[:_LONGEST])).casefold()


def nearest_name(name: str, candidates: Sequence[str]) -> str | None:
    """Return the name that was probably meant, or None if no name is similar."""
    visible = visible_name(name)
    for simplified in (visible_name, _letters):
        for candidate in candidates:
            if simplified(candidate) == simplified(name):
                return candidate
    similar = {visible_name(candidate): candidate for candidate in candidates[:_COMPARED]}
    close = get_close_matches(visible, similar, n=1, cutoff=0.75)
    return similar[close[0]] if close else None


def _letters(name: str) -> str:
    return _SIGNS.sub("", visible_name(name))

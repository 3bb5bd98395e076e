"""
Author, subject and time of a commit, read from the bytes of the commit object.

Whoever may push writes these bytes, and git checks few of them: whatever they are, they give a short,
printable line each, and never an error.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime

# Bytes of a commit object that are looked at: more than twenty thousand parents come before the author.
READ_BYTES = 1 << 20

INVALID_DATE = "invalid date"
NO_AUTHOR = "(no author)"
NO_SUBJECT = "(no subject)"

_AUTHOR_LENGTH = 100
_SUBJECT_LENGTH = 300
# No sign takes more than four bytes in any of the encodings.
_LONGEST_SIGN = 4
_SECONDS = re.compile(rb"\s*(\d{1,18})(?=\s|\Z)")
# Supersets of ASCII: Python also has codecs that compress, that take quadratic time, or that hide ASCII.
_TEXT_ENCODING = re.compile(
    r"(iso[-_]?8859|iso[-_]?2022|latin|windows|cp|koi8|mac|euc|shift|sjis|gb|big5)[\w-]*|utf[-_]?8"
)
# Joiners are part of words in some scripts, and of emoji; other invisible signs can change how a line reads.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class CommitInfo:
    """
    What users want to know of a commit.

    :param author: name, else e-mail address; one printable line.
    :param subject: first paragraph of the message; one printable line.
    :param committed_at: ISO 8601 in UTC, or :data:`INVALID_DATE`.
    """

    sha: str
    author: str
    subject: str
    committed_at: str


def commit_info(sha: str, content: bytes) -> CommitInfo:
    """
    Return what a commit object says.

    :param content: the object, or its first :data:`READ_BYTES` bytes.
    """
    header, _, message = content.partition(b"\n\n")
    fields = _fields(header)
    encoding = _encoding(fields.get(b"encoding", b""))
    name, address, _ = _identity(fields.get(b"author", b""))
    _, _, date = _identity(fields.get(b"committer", b""))
    author = next(
        filter(None, (_line(text, encoding, _AUTHOR_LENGTH) for text in (name, address))), NO_AUTHOR
    )
    subject = re.split(rb"\n[ \t\r]*\n", message.lstrip(b" \t\r\n"), maxsplit=1)[0]
    return CommitInfo(sha, author, _line(subject, encoding, _SUBJECT_LENGTH) or NO_SUBJECT, _time(date))


def one_line(text: str, length: int | None = None) -> str:
    """
    Return text of an unknown writer as one line without control and invisible characters.

    :param length: most characters.
    """
    plain = "".join(sign if sign.isprintable() or sign in _JOINERS else " " for sign in text)
    line = " ".join(plain.split())
    return line if length is None or len(line) <= length else f"{line[: length - 1]}…"


def _fields(header: bytes) -> dict[bytes, bytes]:
    """Return the first value of each field; the further lines of a signature begin with a space."""
    fields: dict[bytes, bytes] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name:
            fields.setdefault(name, value)
    return fields


def _identity(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Return name, e-mail address and date of ``name <address> seconds zone``, as far as they are there."""
    name, _, rest = value.partition(b"<")
    address, _, date = rest.rpartition(b">")
    return name, address, date


def _time(date: bytes) -> str:
    seconds = _SECONDS.match(date)
    try:
        return datetime.fromtimestamp(int(seconds[1]), UTC).isoformat() if seconds else INVALID_DATE
    except (ValueError, OverflowError, OSError):
        return INVALID_DATE


def _encoding(name: bytes) -> str:
    text = name.decode("ascii", errors="replace").strip().lower()
    try:
        return codecs.lookup(text).name if _TEXT_ENCODING.fullmatch(text) else "utf-8"
    except LookupError:
        return "utf-8"


def _line(text: bytes, encoding: str, length: int) -> str:
    start = text[: (length + 1) * _LONGEST_SIGN]
    try:
        return one_line(start.decode(encoding, errors="backslashreplace"), length)
    except (LookupError, ValueError):
        return one_line(start.decode(errors="backslashreplace"), length)

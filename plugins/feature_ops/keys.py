"""
The rule for valid entity keys: the same at ingest, in the online reader and in the model service.

A key is part of URLs, log lines, metric labels and of the primary key of online stores. It must be visible,
stand on one line, and fit into an index (PostgreSQL: 2,704 bytes per row, shared by all keys of an entity).
The rule uses no property of characters that differs between versions of Unicode, so that processes with
different versions of Python agree. Letters of any script, emoji, joiners (U+200C, U+200D) and inner spaces,
also the non-breaking one (U+00A0), are valid.
"""

from __future__ import annotations

import re

#: Maximum length of a key in UTF-8.
MAX_KEY_BYTES = 1024

_FORBIDDEN = (
    (
        re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]"),
        "must not contain control characters or line breaks",
    ),
    (
        # Text direction, and characters that show nothing: soft hyphen, zero-width space, word joiner, byte
        # order mark.
        re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u00ad\u200b\u2060\ufeff]"),
        "must not contain invisible formatting characters",
    ),
    (
        re.compile("[\ud800-\udfff]"),
        "must not contain unpaired surrogates",
    ),
)


def invalid_key_reason(text: str) -> str | None:
    """
    Return why a text is not a valid entity key, or None if it is valid.

    :returns: a predicate without subject, such as ``must not be empty``. The number of different reasons is
        small and fixed, and none contains the key.
    """
    if not text.strip():
        return "must not be empty"
    for characters, reason in _FORBIDDEN:
        if characters.search(text):
            return reason
    if text != text.strip():
        return "must not start or end with white space"
    if len(text.encode()) > MAX_KEY_BYTES:
        return f"must not be longer than {MAX_KEY_BYTES:,} bytes in UTF-8"
    return None

"""Texts for users without secrets: no passwords, no signed queries, no values of secret variables."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator

_LENGTH = 300
# Patterns are looked for in this much of a text.
_MOST_LENGTH = 1000
# The look-behind keeps a long word from being searched once for each of its characters.
_ADDRESS_IN_TEXT = re.compile(r"(?<![\w+.-])([\w+.-]+://)[^/?#\s]*@")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*:/{0,2}")
_QUERY = re.compile(r"(?<![\w+.-])([\w+.-]+://[^\s?#]*)\?[^\s#]*")
_NAMED = re.compile(
    r"""(?ix)
    (?<! [\w.-] )
    ( [\w.-]*? (?: pass(?:word|wd|phrase)? | pwd | secret | token | api_?key | access_?key | private_?key
    | credential | authorization | signature | dsn ) [\w.-]* ["']? \s* [=:] \s* )
    ( "[^"]*" | '[^']*' | (?: bearer | basic ) \s+ \S+ | [^\s,;&"')}\]]+ )
    """
)
# Short values, and those of other names, would cut words out of messages.
_SECRET_NAME = re.compile("PASS|SECRET|TOKEN|KEY|CREDENTIAL|CONN|AUTH|URL|DSN|FEAST_", re.IGNORECASE)
_SECRET_LENGTH = 6


def without_user_info(text: str) -> str:
    """Return a text without the user names and passwords of the addresses in it."""
    return _ADDRESS_IN_TEXT.sub(r"\1***@", text)


def shown_address(address: str) -> str:
    """
    Return an address that a user typed as messages may show it: without user name, password and query.

    Whatever is before the last ``@`` may be a password, also where the address is malformed.
    """
    before, sign, after = address.rpartition("@")
    if not sign:
        return address.partition("?")[0]
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}***@{after.partition('?')[0]}"


def environment_secrets() -> Iterator[str]:
    """Yield the values of this process's environment whose names are those of secrets."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SECRET_LENGTH:
            yield value


def masked(text: str) -> str:
    """
    Return what a library wrote as one line of at most 300 characters without secrets.

    Masked are what Airflow masks in logs, values of the environment, user info and queries of addresses, and
    what follows names such as ``password=``.
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = str(_masked_by_airflow(line))
    for secret in sorted(environment_secrets(), key=len, reverse=True):
        line = line.replace(secret, "***")
    line = _QUERY.sub(r"\1?***", without_user_info(line[:_MOST_LENGTH]))
    line = _NAMED.sub(r"\1***", line)
    line = "".join(sign if sign.isprintable() else " " for sign in line)
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}…"


def describe_unexpected(error: BaseException) -> str:
    """Return a line for an exception that nobody foresaw: its type, where it was raised, its masked text."""
    try:
        text = masked(str(error))
    except Exception:  # a library's exception may fail to make its own text
        text = ""
    return f"unexpected {type(error).__name__}{_raised_at(error)}{f': {text}' if text else ''}"


def _raised_at(error: BaseException) -> str:
    """Name the package's own line that was executing, which says which step failed."""
    for frame in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = str(frame[0].f_globals.get("__name__", ""))
        if name.split(".")[0] == "feature_ops" and name != "feature_ops.operator":
            return f" in {name}, line {frame[1]}"
    return ""


def _masked_by_airflow(text: str) -> str:
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    return str(redact(text))

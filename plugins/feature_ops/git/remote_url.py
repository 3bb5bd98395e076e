"""Which repository addresses a person may ask for, given the one an administrator set."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from feature_ops.exceptions import BadInputError
from feature_ops.masking import shown_address

_DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_SCP_STYLE = re.compile(r"^(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+):(?!//)(?P<path>[^\s\\]+)$")
_SCHEME = re.compile(r"([A-Za-z][\w+.-]*)://")
_NEVER_IN_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")


def server_of(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a repository's address; None for a local path or nonsense."""
    if _NEVER_IN_URL.search(url):
        return None
    if "://" not in url:
        scp = _SCP_STYLE.match(url)
        return ("ssh", scp["host"].lower(), 22) if scp else None
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def allowed_url(typed: str, connection_url: str, connection: str) -> str:
    """
    Return the address to use: what was typed, or the connection's if nothing was.

    The connection's password goes with every request, so a typed address has to be on the
    connection's own server; else a :class:`BadInputError` is raised.

    :param connection: the connection's name, for the message.
    """
    typed = typed.strip()
    if not typed or typed == connection_url:
        return connection_url
    if _has_secret(typed):
        raise BadInputError(
            "repo_url must not contain a user name or password, because Airflow stores it with the run: "
            f"remove them; the credentials are those of the connection {connection}"
        )
    server = server_of(typed)
    if server is None or server != server_of(connection_url):
        there = server_of(connection_url)
        place = f"{there[0]}://{there[1]}:{there[2]}" if there else "the connection's own repository"
        raise BadInputError(
            f"repo_url {shown_address(typed)!r} is not on the server of the connection {connection} "
            f"({place}), whose password would be sent to another server: leave repo_url empty or name a "
            "repository on that server"
        )
    return typed


def _has_secret(typed: str) -> bool:
    """Return whether the user info of an address is more than the account of an SSH server."""
    scheme = _SCHEME.match(typed)
    authority = typed[scheme.end() if scheme else 0 :].partition("/")[0]
    user_info, sign, _ = authority.rpartition("@")
    if scheme and scheme[1].lower() in ("http", "https"):
        return bool(sign)
    return ":" in user_info

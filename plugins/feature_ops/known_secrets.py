"""Every secret that Airflow knows in this process, so that what untrusted code prints can be masked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

_CONNECTION, _SHORTEST = "AIRFLOW_CONN_", 4
# Settings of this package are never secrets, and their names and addresses are what a log is about.
_SETTING = "FEATURE_OPS_"
_SECRET_NAME = re.compile("PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTHORIZATION|DSN|PRIVATE|FEAST_", re.IGNORECASE)
# What separates options differs: it ends at a comma in one format, and at `&` or `;` in others.
_ASSIGNED = tuple(
    re.compile(rf"(?:^|[,;&?\s])(?:password|passwd|pwd|secret|token)=([^{end}\s]+)", re.IGNORECASE)
    for end in (",", ",;&")
)


def airflow_secrets() -> set[str]:
    """
    Return what must not show in a log: sensitive options of Airflow, connections, secret variables.

    Sensitive options are the keys and URLs that Airflow itself calls so, wherever they are configured.
    """
    found = set(_options())
    for name, value in os.environ.items():
        if name.startswith(_CONNECTION):
            found |= set(connection_secrets(value))
        elif not name.startswith(_SETTING):
            found |= {value} if _SECRET_NAME.search(name) else set(secrets_in(value))
    return {variant for secret in found for variant in variants(secret)}


def connection_secrets(text: str) -> Iterator[str]:
    """
    Yield the secrets of an Airflow connection.

    :param text: its JSON or URI, as in ``AIRFLOW_CONN_*``.
    """
    yield text
    try:
        content = json.loads(text)
    except ValueError:
        yield from secrets_in(text)
        return
    if isinstance(content, Mapping):
        yield from _leaves(content)


def secrets_in(value: str) -> Iterator[str]:
    """Yield the value's passwords: of a URL, and what follows names such as ``password=``."""
    if "://" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            password = None
        if password:
            yield password
    for pattern in _ASSIGNED:
        yield from pattern.findall(value)


def variants(secret: str) -> Iterator[str]:
    """Yield a secret as it is, as it stands in a URL or in JSON, and each of its lines."""
    for text in (secret, *secrets_in(secret)):
        for variant in (
            text,
            unquote(text),
            quote(text, safe=""),
            json.dumps(text)[1:-1],
            *text.splitlines(),
        ):
            if len(variant.strip()) >= _SHORTEST:
                yield variant.strip()


def masker(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that masks secrets in a line, the longest first."""
    longest_first = sorted({one for one in secrets if len(one) >= _SHORTEST}, key=len, reverse=True)
    if not longest_first:
        return lambda line: line
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda line: pattern.sub("***", line)


def _leaves(content: Any, name: str = "") -> Iterator[str]:
    """Yield strings of a connection under names of secrets, and passwords within all strings."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, str(key))
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value, name)
    elif isinstance(content, str):
        if _SECRET_NAME.search(name):
            yield content
        # Extra fields may be JSON within JSON.
        if name == "extra" and content.lstrip().startswith("{"):
            yield from connection_secrets(content)
        yield from secrets_in(content)


def _options() -> Iterator[str]:
    """Yield the values of Airflow's sensitive options, of files and commands, too."""
    from airflow.configuration import conf

    for section, option in conf.sensitive_config_values:
        try:
            value = conf.get(section, option, fallback=None, suppress_warnings=True)
        except Exception:  # noqa: S112 - a command or backend that fails has given no secret
            continue
        if value:
            yield str(value)

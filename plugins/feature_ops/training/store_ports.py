"""Which TCP ports a training needs: those of the stores that its configuration and its environment name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from feature_ops.feast.configuration import texts_of

# Where an address of a scheme names no port.
_PORTS = {"http": 80, "https": 443, "s3": 443, "gs": 443, "postgresql": 5432, "mysql": 3306, "redis": 6379}
_PORTS |= {"rediss": 6379, "postgres": 5432}
_HTTPS, _DNS, _DATABASE = 443, 53, 5432
# `host:port`, as Feast writes the nodes of a Redis-protocol store.
_NODE = re.compile(r"^\[?([\w.:-]+?)\]?:(\d{1,5})$")
_ADDRESS = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]*://[^\s,\"']+")


def store_ports(configuration: Any, environment: Mapping[str, str]) -> set[int]:
    """
    Return the ports of all stores.

    :param configuration: feature_store.yaml with its variables filled in, as YAML has it.
    :param environment: of the training. Without ``AWS_ENDPOINT_URL``, object storage is reached by HTTPS.
    """
    texts = [*texts_of(configuration), *environment.values()]
    named = {(host, port) for text in texts for host, port in _addresses(text)}
    ports = {port for _, port in named} | set(_numbers(configuration))
    if not environment.get("AWS_ENDPOINT_URL"):
        ports.add(_HTTPS)
    if any(not _is_address(host) for host, _ in named):
        # Host names are resolved by TCP, too.
        ports.add(_DNS)
    return {port for port in ports if 0 < port < 1 << 16}


def _addresses(text: str) -> Iterator[tuple[str, int]]:
    for found in _ADDRESS.findall(text):
        try:
            parts = urlsplit(found)
            host, port = parts.hostname, parts.port
        except ValueError:
            continue
        default = _PORTS.get(parts.scheme.lower().partition("+")[0])
        if host and (port or default):
            yield host, int(port or default or 0)
    if "://" not in text:
        for part in text.split(","):
            node = _NODE.match(part.strip())
            if node:
                yield node[1], int(node[2])


def _is_address(host: str) -> bool:
    """Whether a host needs no name server."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _numbers(content: Any) -> Iterable[int]:
    """Yield what options named `port` say; a host without one is that of a database."""
    if isinstance(content, Mapping):
        if "host" in content:
            port = str(content.get("port", _DATABASE))
            yield int(port) if port.isdigit() else _DATABASE
        for value in content.values():
            yield from _numbers(value)
    elif isinstance(content, list):
        for value in content:
            yield from _numbers(value)

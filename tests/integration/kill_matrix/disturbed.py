"""The way of a world's workers to its servers, through proxies that can be disturbed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from urllib.parse import urlsplit

from demo.servers import Servers
from tests.integration.kill_matrix.etl import World
from tests.integration.kill_matrix.proxy import Protocol, TcpProxy

PROTOCOLS = {
    "object store": Protocol(re.compile(rb"^(PUT|POST|DELETE) ")),
    # Its answer comes in parts, the first of them before the push is done.
    "git": Protocol(
        re.compile(rb"^POST \S+/git-receive-pack "), lambda answer: answer.endswith(b"\r\n0\r\n\r\n")
    ),
    "registry": Protocol(re.compile(rb"\bCOMMIT\b"), farewell=b"X\x00\x00\x00\x04"),
    "online store": Protocol(re.compile(rb"\b(HSET|HMSET|DEL)\r\n", re.IGNORECASE)),
}

Ports = Mapping[str, int]
Proxies = Mapping[str, TcpProxy]


class Fault(StrEnum):
    """What happens to the connections to one server at one point."""

    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    # The request arrives and is served.
    ANSWER_LOST = "answer lost, then cut"
    ANSWER_LOST_ONCE = "answer lost once"


def ports_of(servers: Servers) -> Ports:
    """Return where each server is, on loopback."""
    addresses = {"object store": servers.object_store.endpoint_url, "git": servers.git.url}
    found = {name: urlsplit(address).port or 0 for name, address in addresses.items()}
    return {**found, "registry": servers.postgres.port, "online store": servers.valkey.port}


@contextmanager
def proxies_to(ports: Ports) -> Iterator[Proxies]:
    """Yield an open proxy before each server."""
    made = {name: TcpProxy(("127.0.0.1", port), PROTOCOLS[name]) for name, port in ports.items()}
    try:
        yield made
    finally:
        for proxy in made.values():
            proxy.cut()


def through(world: World, ports: Ports, proxies: Proxies) -> World:
    """Return the world as it is for a worker that knows only the proxies' addresses."""
    environment = dict(world.environment)
    for name, port in ports.items():
        for variable, value in environment.items():
            environment[variable] = value.replace(f"127.0.0.1:{port}", f"127.0.0.1:{proxies[name].port}")
    # What a client tries again by itself is tried once more only: the tests' time is counted.
    return replace(world, environment={**environment, "AWS_MAX_ATTEMPTS": "2"})

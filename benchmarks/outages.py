"""
What 200 callers of the model service see while servers behind it go away and come back, in one minute.

Each caller asks again as soon as it has a response. Valkey is killed, then stopped so that it accepts
connections but responds to nothing, then PostgreSQL and MLflow are killed; each is back after seven seconds.
The callers share the machine's cores with the service. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from benchmarks.jukebox_servers import JukeboxServers
from benchmarks.predictions import machine

GOOD_SECONDS, DOWN_SECONDS = 7.0, 7.0
_NO_RESPONSE = 0


@dataclass(frozen=True)
class Response:
    """
    One response.

    :param ended: when it was complete, on the monotonic clock.
    :param status: 0 if there was none.
    """

    ended: float
    seconds: float
    status: int


@dataclass(frozen=True)
class Outage:
    """How to take a server away, and how to bring it back."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass(frozen=True)
class Played:
    """When an outage began, when its end was asked for, and when the server responded again."""

    name: str
    began: float
    ended: float
    back: float


class Caller:
    """Asks for one path, again and again."""

    def __init__(self, url: str, paths: Sequence[str], pause: float = 0.0) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._paths, self._pause = paths, pause
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.responses: list[Response] = []

    async def ask_on(self, number: int) -> None:
        """Ask until it is cancelled."""
        while True:
            path = self._paths[number % len(self._paths)]
            number += 1
            began = time.monotonic()
            try:
                status = await self._ask(path)
            except (OSError, ValueError, asyncio.IncompleteReadError):
                status, self._streams = _NO_RESPONSE, None
            ended = time.monotonic()
            self.responses.append(Response(ended, ended - began, status))
            await asyncio.sleep(self._pause)

    async def _ask(self, path: str) -> int:
        self._streams = self._streams or await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: benchmark\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        return int(head.split(b" ", 2)[1])


def outages(servers: JukeboxServers) -> list[Outage]:
    """Return the outages in their order."""
    own = servers.servers
    kill = own.processes.kill
    valkey = next(child.process.pid for child in own.processes.children if child.name == "valkey")
    return [
        Outage(
            "Valkey hangs", lambda: os.kill(valkey, signal.SIGSTOP), lambda: os.kill(valkey, signal.SIGCONT)
        ),
        Outage("Valkey is killed", lambda: kill("valkey"), own.valkey.start),
        Outage("PostgreSQL is killed", lambda: kill("postgres"), own.postgres.start),
        Outage("MLflow is killed", lambda: kill("mlflow"), own.mlflow.start),
    ]


async def play(servers: JukeboxServers, callers: int) -> pd.DataFrame:
    """Play all outages beneath the load; returns a row for each."""
    url = servers.ours[0]
    crowd = [Caller(url, [f"/predict/{song}" for song in servers.songs]) for _ in range(callers)]
    liveness = Caller(url, ["/health/live"], pause=0.05)
    tasks = [
        asyncio.create_task(caller.ask_on(number * 100)) for number, caller in enumerate([*crowd, liveness])
    ]
    played = []
    for outage in outages(servers):
        await asyncio.sleep(GOOD_SECONDS)
        began = time.monotonic()
        await asyncio.to_thread(outage.begin)
        await asyncio.sleep(DOWN_SECONDS)
        ended = time.monotonic()
        await asyncio.to_thread(outage.end)
        played.append(Played(outage.name, began, ended, time.monotonic()))
    await asyncio.sleep(GOOD_SECONDS)
    for task in tasks:
        task.cancel()
    responses = [response for caller in crowd for response in caller.responses]
    return pd.DataFrame([_row(one, responses, liveness.responses) for one in played]).set_index("outage")


def _row(played: Played, responses: Sequence[Response], liveness: Sequence[Response]) -> dict[str, object]:
    during = [one for one in responses if played.began <= one.ended < played.back + GOOD_SECONDS]
    live = [one.seconds for one in liveness if played.began <= one.ended < played.back + GOOD_SECONDS]
    statuses = Counter(one.status for one in during)
    failed = [one.ended for one in during if one.status != 200]
    return {
        "outage": played.name,
        "responses": len(during),
        "200": statuses[200],
        "503": statuses[503],
        "other": len(during) - statuses[200] - statuses[503],
        "slowest s": round(max(one.seconds for one in during), 2),
        "slowest liveness s": round(max(live), 2),
        "last 503 after it is back s": round(max(0.0, max(failed, default=0.0) - played.back), 2),
    }


def main() -> None:
    """Start servers of its own, play, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--callers", type=int, default=200, help="connections (default 200)")
    arguments = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as folder:
        servers = JukeboxServers(Path(folder))
        try:
            servers.start(lambda line: print(f"  {line}", file=sys.stderr, flush=True), stock=False)
            table = asyncio.run(play(servers, arguments.callers))
        finally:
            servers.stop()
    print(f"{arguments.callers} callers, outages of {DOWN_SECONDS:g} s each.\n")
    print(table.to_string())
    print(f"\n{where}")


if __name__ == "__main__":
    main()

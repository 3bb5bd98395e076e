"""
A small load generator: processes that each ask over one connection, again as soon as an answer is there.

Each is a process, so that one's work on an answer never keeps another from asking, and speaks HTTP over
a bare socket, since a client library would take as long as some answers do.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol
from urllib.parse import urlsplit

# Seconds before the measured ones.
WARM_UP = 1.0
_CONTEXT = multiprocessing.get_context("spawn")


class Client(Protocol):
    """Somebody who wants predictions; made in the process that asks."""

    def request(self, songs: Sequence[str]) -> bytes:
        """Return the whole request for these songs."""

    def use(self, body: bytes) -> Any:
        """Make the predictions of an answer's body."""


@dataclass(frozen=True)
class Load:
    """
    Who asks for what.

    :param client: makes the client; importable, since other processes call it.
    :param urls: servers; connections are shared out evenly among them.
    :param songs: ids, asked for in turn.
    :param batch: songs in a request.
    """

    client: Callable[[], Client]
    urls: Sequence[str]
    songs: Sequence[str]
    batch: int


@dataclass(frozen=True)
class Measured:
    """
    What the askers saw.

    :param seconds: from each request to its predictions.
    :param rate: requests a second, all connections together.
    :param busy: share of one core that an asker used for itself.
    :param cost: processor seconds of servers and askers for each request.
    """

    seconds: list[float]
    rate: float
    busy: float
    cost: float


class HttpConnection:
    """One connection that stays open."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port or 80), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """
        Send a request; returns the answer's body.

        :raises RuntimeError: the answer is another than 200.
        """
        self._socket.sendall(request)
        received = self._more()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end].lower(), received[end + 4 :]
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the answer is {received[:500]!r}")
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        parts, missing = [body], length - len(body)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self) -> bytes:
        received = self._socket.recv(262_144)
        if not received:
            raise RuntimeError("the server closed the connection")
        return received


def measure(
    load: Load, connections: int, seconds: float, servers: Callable[[], float] = lambda: 0.0
) -> Measured:
    """
    Let so many ask for so long.

    :param servers: tells how many processor seconds the servers have used.
    """
    askers, ends = [], []
    for number in range(connections):
        ours, theirs = _CONTEXT.Pipe()
        askers.append(_CONTEXT.Process(target=_ask_on, args=(load, number, seconds, theirs), daemon=True))
        askers[-1].start()
        theirs.close()
        ends.append(ours)
    try:
        for end in ends:
            end.recv()  # it is ready
        used = servers()
        for end in ends:
            end.send("go")
        told = [end.recv() for end in ends]
        used = servers() - used
    except EOFError:
        raise SystemExit("An asker failed; what it says is above.") from None
    finally:
        for asker in askers:
            asker.join(timeout=10)
            asker.kill()
    times = [time for seen, _, _ in told for time in seen]
    busy = sum(busy for _, busy, _ in told)
    answers = len(times) + sum(warming for _, _, warming in told)
    return Measured(
        times, len(times) / seconds, busy / seconds / connections, used / answers + busy / len(times)
    )


def _ask_on(load: Load, number: int, seconds: float, end: Connection) -> None:
    client = load.client()
    requests = [client.request(songs) for songs in _batches(load, number)]
    end.send("ready")
    end.recv()
    # Not before: servers close connections on which nothing is asked for seconds.
    connection = HttpConnection(load.urls[number % len(load.urls)])
    warming = len(_ask(client, connection, requests, WARM_UP))
    began = time.process_time()
    seen = _ask(client, connection, requests, seconds)
    end.send((seen, time.process_time() - began, warming))


def _ask(client: Client, connection: HttpConnection, requests: list[bytes], seconds: float) -> list[float]:
    seen, until, place = [], time.perf_counter() + seconds, 0
    while (began := time.perf_counter()) < until:
        client.use(connection.ask(requests[place % len(requests)]))
        seen.append(time.perf_counter() - began)
        place += 1
    return seen


def _batches(load: Load, number: int) -> Iterator[list[str]]:
    """Return requests that each asker begins elsewhere in, so that they do not ask for the same."""
    for place in range(100):
        first = (number * 1009 + place * load.batch) % (len(load.songs) - load.batch)
        yield list(load.songs[first : first + load.batch])


class InstantServer:
    """A server that answers the same at once, whatever it is asked: it shows what the askers can do."""

    def __init__(self, body: bytes) -> None:
        ours, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_answer, args=(body, theirs), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{ours.recv()}"

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()


def _answer(body: bytes, end: Connection) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.received = transport, b""

        def data_received(self, data: bytes) -> None:
            self.received += data
            head, found, rest = self.received.partition(b"\r\n\r\n")
            length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            if found and len(rest) >= int(length or 0):
                self.received = b""
                self.transport.write(answer)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        end.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())

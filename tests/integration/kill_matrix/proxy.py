"""A TCP proxy that cuts connections when a test tells it to."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread

# Closing sends a reset, as a cable that is cut or a server that is killed does sooner or later.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Protocol:
    """
    As much as has to be known of what is passed on.

    :param write: matches the beginning of a request that changes something.
    :param ends: whether an answer is complete.
    :param farewell: what a client sends before it closes; nobody waits for it, so it is no request.
    """

    write: re.Pattern[bytes]
    ends: Callable[[bytes], bool] = lambda answer: True
    farewell: bytes = b""


@dataclass(eq=False)
class _Pair:
    """A client's connection and the one to the server that belongs to it."""

    client: socket.socket
    server: socket.socket
    answer_to_be_lost: bool = False
    lost: bytes = b""
    asked: bool = False
    ended: bool = False
    is_cut: bool = False

    def reset(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            # Wakes whoever is reading from it; closing alone does not.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()


class TcpProxy:
    """
    Passes connections on to a server until they are cut; closed to new ones until it is opened again.

    :param server: host and port.
    """

    def __init__(self, server: tuple[str, int], protocol: Protocol) -> None:
        self._server, self._protocol = server, protocol
        self._pairs: set[_Pair] = set()
        self._guard = Lock()
        self._listener: socket.socket | None = None
        self._to_lose: Callable[[bytes], bool] | None = None
        self._cut_after_loss = False
        self._act: Callable[[], None] | None = None
        self._act_at = 0
        self.port = 0
        self.requests = self.writes = self.lost = 0
        self.open()

    def open(self) -> None:
        """Take new connections, at the same port as ever."""
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._guard:
            pairs, self._pairs = self._pairs, set()
        # All at once: whoever sees one connection cut must not be heard through another.
        for pair in pairs:
            pair.is_cut = True
        for pair in pairs:
            pair.reset()

    def lose_an_answer(self, *, writes_only: bool, stay_open: bool) -> None:
        """
        Pass the next request on, and cut its connection when the server has answered.

        :param writes_only: not just any request, but one that changes something.
        :param stay_open: whether other connections stay, and new ones are taken.
        """
        self._cut_after_loss = not stay_open
        self._to_lose = self._is_write if writes_only else lambda request: True

    def before_request(self, number: int, act: Callable[[], None]) -> None:
        """
        Act once before a request is passed on, while its client waits.

        :param number: 1 for the very next request.
        """
        self._act_at, self._act = self.requests + number, act

    def _is_write(self, request: bytes) -> bool:
        return self._protocol.write.search(request) is not None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server)
            with self._guard:
                if listener is not self._listener:
                    pair.reset()
                    return
                self._pairs.add(pair)
            Thread(target=self._pump, args=(pair, client, server, self._request), daemon=True).start()
            Thread(target=self._pump, args=(pair, server, client, self._answer), daemon=True).start()

    def _pump(
        self,
        pair: _Pair,
        source: socket.socket,
        target: socket.socket,
        passes: Callable[[_Pair, bytes], bool],
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if passes(pair, data):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
            if not pair.ended:
                # The other direction may go on.
                pair.ended = True
                return
        with self._guard:
            self._pairs.discard(pair)
        pair.reset()

    def _request(self, pair: _Pair, data: bytes) -> bool:
        if pair.is_cut:
            return False
        if data == self._protocol.farewell:
            return True
        if not pair.asked:
            pair.asked = True
            self.requests += 1
            if self._act is not None and self.requests >= self._act_at:
                act, self._act = self._act, None
                act()
        self.writes += self._is_write(data)
        if self._to_lose is not None and self._to_lose(data):
            self._to_lose, pair.answer_to_be_lost = None, True
        return True

    def _answer(self, pair: _Pair, data: bytes) -> bool:
        pair.asked = False
        # "100 Continue" only asks for the rest of the request.
        if not pair.answer_to_be_lost or data.startswith(b"HTTP/1.1 100"):
            return True
        pair.lost += data
        if self._protocol.ends(pair.lost):
            self.lost += 1
            if self._cut_after_loss:
                self.cut()
            pair.reset()
        return False

"""The proxy that cuts connections can be relied on."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from tests.integration.kill_matrix.proxy import Protocol, TcpProxy


class Shop:
    """A server that notes each order before it answers it."""

    def __init__(self) -> None:
        self.orders: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            # Wakes whoever waits for a connection; closing alone does not.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._take_orders, args=(connection,), daemon=True).start()

    def _take_orders(self, connection: socket.socket) -> None:
        try:
            while order := connection.recv(100):
                self.orders.append(order)
                connection.sendall(b"thanks for ")
                connection.sendall(order + b".")
        except OSError:
            connection.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    opened = Shop()
    yield opened
    opened.close()


@pytest.fixture
def proxy(shop: Shop) -> Iterator[TcpProxy]:
    made = TcpProxy(shop.address, Protocol(re.compile(b"^buy "), lambda answer: answer.endswith(b".")))
    yield made
    made.cut()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def ask(connection: socket.socket, order: bytes) -> bytes:
    connection.sendall(order)
    answer = b""
    while not answer.endswith(b"."):
        part = connection.recv(100)
        if not part:
            raise ConnectionError("the answer ended early")
        answer += part
    return answer


def test_it_passes_everything_on_and_counts(proxy: TcpProxy, shop: Shop) -> None:
    with connect(proxy) as one, connect(proxy) as other:
        assert ask(one, b"see tea") == b"thanks for see tea."
        assert ask(other, b"buy tea") == b"thanks for buy tea."
        assert ask(one, b"buy rice") == b"thanks for buy rice."
    assert shop.orders == [b"see tea", b"buy tea", b"buy rice"]
    assert (proxy.requests, proxy.writes, proxy.lost) == (3, 2, 0)


def test_it_cuts_all_connections_and_refuses_new_ones_until_it_is_opened(proxy: TcpProxy, shop: Shop) -> None:
    with connect(proxy) as one, connect(proxy) as other:
        ask(one, b"buy tea")
        ask(other, b"buy tea")
        proxy.cut()
        for cut in (one, other):
            with pytest.raises(ConnectionError):
                ask(cut, b"buy rice")
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    port = proxy.port
    proxy.open()
    assert proxy.port == port
    with connect(proxy) as again:
        assert ask(again, b"buy rice") == b"thanks for buy rice."
    assert shop.orders == [b"buy tea", b"buy tea", b"buy rice"]


def test_it_loses_the_answer_to_a_request_that_was_served(proxy: TcpProxy, shop: Shop) -> None:
    proxy.lose_an_answer(writes_only=True, stay_open=True)
    with connect(proxy) as one, connect(proxy) as other:
        assert ask(one, b"see tea") == b"thanks for see tea."
        with pytest.raises(ConnectionError):
            ask(one, b"buy tea")
        assert shop.orders == [b"see tea", b"buy tea"]
        assert ask(other, b"buy rice") == b"thanks for buy rice."
    assert proxy.lost == 1


def test_it_may_stay_closed_after_a_lost_answer(proxy: TcpProxy, shop: Shop) -> None:
    proxy.lose_an_answer(writes_only=False, stay_open=False)
    with connect(proxy) as one, connect(proxy) as other:
        with pytest.raises(ConnectionError):
            ask(one, b"see tea")
        with pytest.raises(ConnectionError):
            ask(other, b"see tea")
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert (shop.orders, proxy.lost) == ([b"see tea"], 1)


def test_it_acts_before_a_request_is_passed_on(proxy: TcpProxy, shop: Shop) -> None:
    seen: list[list[bytes]] = []
    with connect(proxy) as one:
        ask(one, b"see tea")
        proxy.before_request(2, lambda: seen.append(list(shop.orders)))
        ask(one, b"buy tea")
        ask(one, b"buy rice")
        ask(one, b"see rice")
    assert seen == [[b"see tea", b"buy tea"]]


def test_a_server_that_is_away_is_away_behind_the_proxy_too(proxy: TcpProxy, shop: Shop) -> None:
    shop.close()
    with pytest.raises(ConnectionError), connect(proxy) as one:
        ask(one, b"see tea")

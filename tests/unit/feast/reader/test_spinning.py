"""Answers that come at once are waited for awake; where they come later, hardly any is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest

from feature_ops.feast.reader import spinning
from feature_ops.feast.reader.connections import HIREDIS_PARSER
from feature_ops.feast.reader.spinning import AdaptiveSpin

ANSWER = b"$3\r\ntea\r\n"


@pytest.fixture(params=[None, 3600], ids=["no timeout", "a timeout"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    with server, client:
        client.settimeout(request.param)
        yield server, client


def parser_of(client: Any) -> Any:
    parser = HIREDIS_PARSER(1 << 16)
    parser._sock, parser._reader = client, hiredis.Reader()
    return parser


def spins(spin: AdaptiveSpin, parser: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a call looked at the socket at all."""
    looked: list[object] = []
    read = spinning._without_waiting
    with monkeypatch.context() as patched:
        patched.setattr(spinning, "_without_waiting", lambda *given: looked.append(given) or read(*given))
        spin.data_came(parser)
    return bool(looked)


def test_what_is_there_is_handed_to_the_parser(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    parser, spin = parser_of(client), AdaptiveSpin()
    for part in (ANSWER[:4], ANSWER[4:]):
        server.sendall(part)
        assert spin.data_came(parser)
    assert parser._reader.gets() == b"tea"


def test_what_does_not_come_is_left_to_whoever_sleeps(ends: tuple[socket.socket, socket.socket]) -> None:
    _, client = ends
    assert not AdaptiveSpin().data_came(parser_of(client))


def test_the_end_of_a_connection_is_left_to_redis_py(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    server.close()
    parser = parser_of(client)
    assert not AdaptiveSpin().data_came(parser)
    assert parser._reader.gets() is False


def test_a_connection_that_is_closed_here_is_left_to_redis_py(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    _, client = ends
    client.close()
    assert not AdaptiveSpin().data_came(parser_of(client))


def test_a_socket_that_is_none_of_the_plain_kind_is_not_touched() -> None:
    assert not AdaptiveSpin().data_came(parser_of(object()))


def test_the_more_answers_come_late_the_fewer_are_waited_for_awake(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = ends
    parser, spin = parser_of(client), AdaptiveSpin()
    assert [spins(spin, parser, monkeypatch) for _ in range(11)] == [
        *(True, False),
        *(True, False, False),
        *(True, False, False, False, False),
        True,
    ]
    for _ in range(20_000):
        spin.data_came(parser)
    assert sum(spins(spin, parser, monkeypatch) for _ in range(4 * 1_025)) == 4


def test_an_answer_in_time_has_the_next_be_waited_for_awake_again(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = ends
    parser, spin = parser_of(client), AdaptiveSpin()
    for _ in range(5):
        spin.data_came(parser)
    server.sendall(ANSWER)
    assert spin.data_came(parser)
    assert [spins(spin, parser, monkeypatch) for _ in range(3)] == [True, False, True]

"""The reader of a Redis-protocol store shares Feast's connections, and outlives what happens to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from select import select
from typing import Any

import pytest
from redis.exceptions import ResponseError

from demo.servers import Servers
from feature_ops.feast.reader import OnlineReader
from tests.integration.feast.engine.stores import on_valkey
from tests.integration.feast.reader.library import Library, asked, left_to_feast, library, told
from tests.integration.feast.reader.test_left_to_feast import FACTS, filled


@pytest.fixture
def shop(servers: Servers, online_store: str, tmp_path: Path) -> Library:
    """Some songs in Valkey."""
    return filled(library(tmp_path, on_valkey(servers)))


def client_of(shop: Library) -> Any:
    return shop.store._get_provider().online_store._get_client(shop.store.config.online_store)


def test_a_connection_that_the_server_has_closed_is_made_anew(shop: Library) -> None:
    reader = OnlineReader.of(shop.store, FACTS)
    before = told(reader.read({"song": ["a"]}))
    shop.held.store._get_client(shop.held.config.online_store).client_kill_filter(_type="normal", skipme=True)
    with left_to_feast() as lines:
        assert told(reader.read({"song": ["a"]})) == before
    assert lines == []


@pytest.mark.parametrize("how_far", ["in the socket", "in the parser", "parsed"])
def test_an_answer_that_somebody_left_unread_is_not_taken_for_ones_own(shop: Library, how_far: str) -> None:
    """As it is left by whoever is interrupted between two answers."""
    reader = OnlineReader.of(shop.store, FACTS)
    before = told(reader.read({"song": ["a"]}))
    pool = client_of(shop).connection_pool
    connection = pool.get_connection()
    connection.send_command("HMGET", "nobody", "a", "b", "c")
    select([connection._sock], [], [], 5)
    if how_far != "in the socket":
        connection._parser.read_from_socket()
    if how_far == "parsed":
        assert connection.can_read()
    pool.release(connection)

    with left_to_feast() as lines:
        assert told(reader.read({"song": ["a"]})) == before
    assert lines == []


def test_what_the_server_refuses_is_told_as_feast_tells_it(shop: Library) -> None:
    client = client_of(shop)
    (key,) = [key for key in client.scan_iter() if b"\x01\x00\x00\x00a" in key and key.startswith(b"\x01")]
    client.delete(key)
    client.set(key, "no hash")
    reader = OnlineReader.of(shop.store, FACTS)
    for _ in range(2):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            reader.read({"song": ["a"]})
    assert reader.read({"song": ["7"]}).to_dict()["facts_text"] == ["c"]


def test_with_a_timeout_nothing_waits_for_it(shop: Library) -> None:
    """Python waits for data before it looks whether there is any, if its socket has a timeout."""
    pool = client_of(shop).connection_pool
    pool.disconnect()
    # As connection_string: …,socket_timeout=20
    pool.connection_kwargs["socket_timeout"] = 20
    pool.reset()
    reader = OnlineReader.of(shop.store, FACTS)
    expected = asked(shop.store, FACTS, {"song": ["a"]}, False)

    def read_three_times() -> list[Any]:
        with left_to_feast() as lines:
            found = [told(reader.read({"song": ["a"]})) for _ in range(3)]
        return [*found, lines]

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(read_three_times).result(timeout=15) == [expected, expected, expected, []]


def test_several_threads_read_at_once(shop: Library) -> None:
    reader = OnlineReader.of(shop.store, FACTS)
    asked_for = [{"song": [song, "nobody", song]} for song in ("a", "7")] * 50
    expected = [asked(shop.store, FACTS, keys, False) for keys in asked_for[:2]] * 50
    with left_to_feast() as lines, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda keys: told(reader.read(keys)), asked_for))
    assert found == expected
    assert lines == []
    assert client_of(shop).connection_pool._in_use_connections == set()

"""Which addresses are talked to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from feature_ops.datasets.guarded_http import ForbiddenAddressError, http_session, is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
     "168.63.129.16", "224.0.1.1", "::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1",
     "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "::"],
)  # fmt: skip
def test_private_and_metadata_addresses_are_not_even_in_disguise(address: str) -> None:
    assert not is_public(address)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A server on loopback that keeps what it is sent."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.settimeout(5)
            with connection:
                received.append(connection.recv(1000))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        thread.join(timeout=5)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_sent_when_dns_turns_to_a_private_address(
    scheme: str, listener: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, received = listener
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        address = next(answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    # Whoever looked the name up first saw a public address.
    assert is_public(socket.getaddrinfo("rebind.example.org", port)[0][4][0])
    with (
        http_session(private_addresses=False) as session,
        pytest.raises(ForbiddenAddressError, match=r"127\.0\.0\.1"),
    ):
        session.get(f"{scheme}://rebind.example.org:{port}/a", timeout=5)
    monkeypatch.undo()
    deadline = threading.Event()
    for _ in range(50):
        if received or deadline.wait(0.05):
            break
    assert received == [b""]


def test_proxies_and_stored_passwords_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert http_session(private_addresses=False).trust_env is False

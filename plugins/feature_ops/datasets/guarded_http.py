"""
HTTP that never talks to a forbidden address and never tells a query, which may hold a signature.

The address is checked on the connected socket, before anything is sent on it. A check of the
name beforehand could be passed by a DNS server that answers differently the second time.

The libraries log and quote the target of a request. So they get it without its query, which is put
back when the request is sent.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Session

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Azure's host agent, which hands out secrets, is at a public address.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})


class ForbiddenAddressError(Exception):
    """A host turned out to be at an address that the settings forbid."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, looking through IPv6 disguises of IPv4."""
    plain = _undisguised(ipaddress.ip_address(address.partition("%")[0]))
    return plain.is_global and not plain.is_multicast and plain not in _METADATA


def _undisguised(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


def http_session(private_addresses: bool) -> Session:
    """
    Return a session that goes straight to its host, follows no redirect and sends no stored password.

    It is for one request after the other.

    :param private_addresses: whether loopback, private and link-local addresses are allowed.
        Where they are not, connecting to one raises :class:`ForbiddenAddressError`.
    """
    import requests

    session = requests.Session()
    # No proxy, since nobody could check where it connects to, and no ~/.netrc.
    session.trust_env = False
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
    session.headers["Accept-Encoding"] = "identity"
    adapter = _guarded_adapter(private_addresses)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _checked(connection: socket.socket, host: str, private_addresses: bool) -> socket.socket:
    address = connection.getpeername()[0]
    if not private_addresses and not is_public(address):
        connection.close()
        raise ForbiddenAddressError(
            f"{host} is at {address}, which is not a public address (FEATURE_OPS_SOURCE_PRIVATE_ADDRESSES)"
        )
    return connection


def _guarded_adapter(private_addresses: bool) -> Any:
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    hidden = {"query": ""}

    def whole(target: str) -> str:
        return f"{target}?{hidden['query']}" if hidden["query"] else target

    class GuardedHttp(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), self.host, private_addresses)

        def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
            super().putrequest(method, whole(url), *args, **kwargs)

    class GuardedHttps(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), self.host, private_addresses)

        def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
            super().putrequest(method, whole(url), *args, **kwargs)

    class GuardedHttpPool(HTTPConnectionPool):
        ConnectionCls = GuardedHttp

    class GuardedHttpsPool(HTTPSConnectionPool):
        ConnectionCls = GuardedHttps

    class GuardedAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": GuardedHttpPool, "https": GuardedHttpsPool}

        def request_url(self, *args: Any, **kwargs: Any) -> str:
            target, _, hidden["query"] = super().request_url(*args, **kwargs).partition("?")
            return target

    return GuardedAdapter()

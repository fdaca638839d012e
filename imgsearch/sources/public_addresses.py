"""Resolves host names once per fetch and connects only to the addresses that were checked.

A name that resolves differently each time (DNS rebinding) could return a public address for the
check and an address in the user's own network for the connection. So the resolved addresses are
kept until the picture has been fetched.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from imgsearch.sources.guarded_files import Unusable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressInfo = tuple[Any, Any, int, str, Any]
"""An item of the result of `socket.getaddrinfo`."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Prefix of addresses with an IPv4 address in their last 32 bits (RFC 6052)."""


class Names:
    """Resolves names for one fetch and connects to their addresses.

    Parameters
    ----------
    typed : str
        The host that the user typed; its addresses may be private.
    proxies : collection of str
        Hosts of proxies; they may be private as well, but servers may not redirect to them.
    """

    def __init__(self, typed: str, proxies: Collection[str] = ()) -> None:
        self._typed = typed.lower()
        self._proxies = frozenset(host.lower() for host in proxies if host)
        self._resolved: dict[str, list[AddressInfo]] = {}

    def look_up(self, host: str, port: int) -> list[AddressInfo]:
        """The addresses of a host, the same ones on each call.

        Raises
        ------
        OSError
            The host does not exist.
        """
        key = host.lower()
        if key not in self._resolved:
            self._resolved[key] = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [(*info[:4], (info[4][0], port, *info[4][2:])) for info in self._resolved[key]]

    def connect(
        self, address: tuple[str, int], timeout: float | None = None, source: Any = None
    ) -> socket.socket:
        """Connect like `socket.create_connection`, but only to allowed addresses.

        Raises
        ------
        Unusable
            An address of the host is private, and the host is neither the typed one nor a proxy.
        OSError
            The connection fails.
        """
        host, port = address
        if host.lower() not in self._proxies:
            self._require_reachable(host, port)
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, place in self.look_up(host, port):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout)
                connection.connect(place)
                return connection
            except OSError as error:
                connection.close()
                failure = error
        raise failure

    def require_public(self, host: str) -> None:
        """Raise `Unusable` if the host is private and not the typed one.

        A host that cannot be resolved passes: a proxy may be able to resolve it, and otherwise the
        connection fails.
        """
        with suppress(OSError):
            self._require_reachable(host, 0)

    def _require_reachable(self, host: str, port: int) -> None:
        infos = self.look_up(host, port)
        if host.lower() != self._typed and not all(is_public(info[4][0]) for info in infos):
            raise Unusable(f"the server redirects to {host}, an address of a private network")


def is_public(text: str) -> bool:
    """True for an address on the public internet.

    An IPv6 address that embeds an IPv4 address (mapped, RFC 4291; 6to4, RFC 3056; NAT64, RFC 6052)
    is judged by the latter. One with a scope, "fe80::1%eth0", is on a local network.
    """
    if "%" in text:
        return False
    address = _effective(ipaddress.ip_address(text))
    local = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not local


def _effective(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

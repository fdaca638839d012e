"""Which machine a connection goes to: names are looked up once, checked, and then held to.

A server that may answer each look-up differently (DNS rebinding) could show a public address to
who checks, and the address of a machine of the user's own network to who connects. So the address
that was checked is the one that is connected to, for as long as one picture is fetched.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from imgsearch.sources.guarded_files import Unusable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Found = tuple[Any, Any, int, str, Any]
"""As `socket.getaddrinfo` gives it."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Carries an IPv4 address in its last 32 bits (RFC 6052)."""


class Names:
    """Looks names up for one picture, and connects to what it has found.

    Parameters
    ----------
    typed : str
        The host of the picture as the user gave it: its addresses may be private.
    proxies : collection of str
        Hosts of proxies: they may be, too, but no server may send us there.
    """

    def __init__(self, typed: str, proxies: Collection[str] = ()) -> None:
        self._typed = typed.lower()
        self._proxies = frozenset(host.lower() for host in proxies if host)
        self._known: dict[str, list[Found]] = {}

    def look_up(self, host: str, port: int) -> list[Found]:
        """The addresses of a host, the same ones on each call.

        Raises
        ------
        OSError
            There is no such host.
        """
        key = host.lower()
        if key not in self._known:
            self._known[key] = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [(*found[:4], (found[4][0], port, *found[4][2:])) for found in self._known[key]]

    def connect(
        self, address: tuple[str, int], timeout: float | None = None, source: Any = None
    ) -> socket.socket:
        """Connect as `socket.create_connection` does, but only to where it may go.

        Raises
        ------
        Unusable
            An address of the host is private, and it is neither the typed one nor a proxy.
        OSError
            It cannot be connected to.
        """
        host, port = address
        if host.lower() not in self._proxies:
            self._require_reachable(host, port)
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, place in self.look_up(host, port):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(timeout)
                opened.connect(place)
                return opened
            except OSError as error:
                opened.close()
                failure = error
        raise failure

    def require_public(self, host: str) -> None:
        """Raise `Unusable` if the host is private and not the typed one. A host that cannot be
        looked up passes: perhaps only a proxy can do that, and else the connection fails."""
        with suppress(OSError):
            self._require_reachable(host, 0)

    def _require_reachable(self, host: str, port: int) -> None:
        found = self.look_up(host, port)
        if host.lower() != self._typed and not all(is_public(each[4][0]) for each in found):
            raise Unusable(f"the server redirects to {host}, an address of a private network")


def is_public(text: str) -> bool:
    """True for the address of a machine that anybody can reach.

    IPv6 addresses that stand for an IPv4 address (mapped, RFC 4291; 6to4, RFC 3056; NAT64, RFC
    6052) are what they stand for. One with a scope, "fe80::1%eth0", is of this machine's network.
    """
    if "%" in text:
        return False
    address = _meant(ipaddress.ip_address(text))
    local = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not local


def _meant(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

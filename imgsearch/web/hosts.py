"""What a server may be called: the names in the Host header that it answers to.

A page of another site can have its own name lead to this machine (DNS rebinding), and its script
then counts as one of ours for the browser. But the browser still sends that name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names and addresses that a server answers to, in lower case.

    Attributes
    ----------
    any_address : bool
        True where the server listens on all addresses: then any address will do, because only
        names can be made to lead elsewhere.
    """

    names: frozenset[str]
    any_address: bool = False

    def knows(self, host: str) -> bool:
        """True if a Host header names this server; the port may be any, for tunnels."""
        name = name_of(host)
        return name in self.names or (self.any_address and _is_address(name))


def hosts_for(bind: str, more: Sequence[str] = ()) -> Hosts:
    """The names for a server that listens on `bind`."""
    names = {name.lower() for name in (bind, *more)} | LOOPBACK
    if is_loopback(bind):
        return Hosts(frozenset(names))
    names.add(socket.gethostname().lower())
    return Hosts(frozenset(names), any_address=bind in ("0.0.0.0", "::"))  # noqa: S104


def name_of(host: str) -> str:
    """The name in a Host header, without the port; "" if it is none."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """True if a browser says that a page of another site asks.

    Programs that are no browsers send neither header, and cannot be made to ask by a page.
    """
    site = headers.get("sec-fetch-site", "none")
    if method not in SAFE:
        origin = headers.get("origin")
        own = {f"{scheme}://{headers.get('host', '')}".lower() for scheme in ("http", "https")}
        if origin is not None and origin.lower() not in own:
            return True
    return site not in ("same-origin", "none")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

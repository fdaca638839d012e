"""Host names that a server accepts in the Host header.

Another site can point its own name at this machine (DNS rebinding); the browser then treats its
scripts as same-origin. But the browser still sends that name in the Host header.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgsearch.errors import ImgSearchError

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Hosts:
    """The host names and addresses that a server accepts, in lower case.

    Attributes
    ----------
    any_address : bool
        True if the server listens on all interfaces. Any IP address is accepted then, because DNS
        rebinding requires a name.
    """

    names: frozenset[str]
    any_address: bool = False

    def knows(self, host: str) -> bool:
        """True if a Host header names this server; any port is accepted, for tunnels."""
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
    """The name in a Host header without the port; "" if the header is not valid."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def checked_origin(text: str) -> str:
    """An origin as browsers send it; raises `ImgSearchError` for anything else."""
    origin = text.strip().rstrip("/").lower()
    if _ORIGIN.fullmatch(origin) is None:
        raise ImgSearchError(
            f"{text!r} is not an origin",
            "Use a scheme and a host without a path, such as https://app.example or"
            " http://localhost:3000.",
        )
    return origin


def cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """True if a browser sent the request for a page of another site.

    Other programs send neither header, but a page cannot make them send requests.
    """
    site = headers.get("sec-fetch-site", "none")
    if method not in SAFE_METHODS:
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

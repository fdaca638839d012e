"""Proxies before the server: which are trusted, and what they report about a request.

A trusted proxy reports the client's address (X-Forwarded-For), whether the client uses TLS
(X-Forwarded-Proto) and the path below which it serves us (X-Forwarded-Prefix). From any other
address these headers are ignored, because a client can write anything into them. See ADR 27.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers

from imgsearch.errors import ImgSearchError

Scope = MutableMapping[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_PREFIX_CHARACTERS = 200
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_OWN_PATHS = ("/api", "/static")
"""A prefix that begins like one of our paths could not be distinguished from it."""
_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[0-9.]+):\d+")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that are trusted, and the path below which they serve us.

    Attributes
    ----------
    networks : tuple of ip_network
        Addresses of trusted proxies.
    root_path : str
        Prefix of all paths, such as "/photos"; "" for none, or for what a trusted proxy reports.
    """

    networks: tuple[Network, ...] = ()
    root_path: str = ""

    def trusts(self, address: str) -> bool:
        """True if requests from this address come through a trusted proxy."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def resolved(self, scope: Scope) -> Scope:
        """An HTTP scope with the client, scheme and prefix that its trusted proxy reports.

        The path has the prefix exactly once, whether the proxy removes it or not.
        """
        peer = (scope.get("client") or ("", 0))[0]
        client, scheme, prefix = peer, scope.get("scheme", "http"), self.root_path
        if self.trusts(peer):
            headers = Headers(scope=scope)
            client = self._client(peer, headers.getlist("x-forwarded-for"))
            scheme = _scheme(headers.getlist("x-forwarded-proto")) or scheme
            prefix = prefix or _prefix(headers.getlist("x-forwarded-prefix"))
        route = _without(prefix, scope["path"])
        raw = _without(prefix, scope.get("raw_path", b"").decode("latin-1"))
        return {
            **scope,
            "client": (client, 0 if client != peer else (scope.get("client") or ("", 0))[1]),
            "scheme": scheme,
            "root_path": prefix,
            "path": prefix + route,
            "raw_path": (prefix + raw).encode("latin-1"),
        }

    def _client(self, peer: str, forwarded: list[str]) -> str:
        """The last address that no trusted proxy has; addresses before it may be forged."""
        client = peer
        for text in reversed(",".join(forwarded).split(",")):
            address = _parsed(text.strip())
            if address is None:
                return client  # of what came before nothing is known
            client = str(address)
            if not self.trusts(client):
                return client
        return client


def route_path(scope: Scope) -> str:
    """The path of a request without the prefix, as in our routes."""
    return str(scope["path"])[len(scope.get("root_path", "")) :]


def client_key(address: str) -> str:
    """A client for limits: an IPv4 address or an IPv6 network of 64 bits, which one site has."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address if parsed is None else str(parsed)


def client_of(scope: Scope) -> str:
    """The client of a request, for limits."""
    return client_key((scope.get("client") or ("",))[0])


def parsed_networks(text: str) -> tuple[Network, ...]:
    """The networks in a list with commas; raises `ImgSearchError` for anything else."""
    return tuple(_networks(text))


def checked_root_path(text: str) -> str:
    """A prefix without a final slash; raises `ImgSearchError` if it cannot be one."""
    prefix = text.strip().rstrip("/")
    if prefix and not prefix.startswith("/"):
        prefix = f"/{prefix}"
    if prefix and not _is_prefix(prefix):
        raise ImgSearchError(
            f"{text!r} cannot be the root path",
            "Use a path of letters, digits and -._~ that does not begin with /api or /static, such"
            " as /photos.",
        )
    return prefix


def _networks(text: str) -> Iterator[Network]:
    for each in filter(None, (part.strip() for part in text.split(","))):
        try:
            yield ipaddress.ip_network(each, strict=False)
        except ValueError:
            raise ImgSearchError(
                f"{each!r} is not the address of a proxy",
                "Use an IP address or a network, such as 127.0.0.1 or 172.18.0.0/16.",
            ) from None


def _parsed(text: str) -> Address | None:
    match = _PORT.fullmatch(text)
    if match is not None:
        text = match["v6"] or match["v4"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _scheme(values: list[str]) -> str:
    """The scheme that the nearest proxy reports; "" if it reports none."""
    last = ",".join(values).rpartition(",")[2].strip().lower()
    return last if last in ("http", "https") else ""


def _prefix(values: list[str]) -> str:
    prefix = values[-1].strip().rstrip("/") if values else ""
    return prefix if _is_prefix(prefix) else ""


def _is_prefix(text: str) -> bool:
    own = any(text == path or text.startswith(f"{path}/") for path in _OWN_PATHS)
    return len(text) <= MAX_PREFIX_CHARACTERS and not own and _PREFIX.fullmatch(text) is not None


def _without(prefix: str, path: str) -> str:
    """The path below a prefix; a path that is not below it is returned unchanged."""
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :]
    return path

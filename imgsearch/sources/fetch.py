"""Fetches one picture from the web, for a user who gave its address and allowed it.

Nothing is kept. The address may be on this machine or the local network, because the user typed it.
A server may redirect only to public addresses or to the host that was typed. Each name is resolved
once, so that the address that was checked is the one connected to (`public_addresses`).
"""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from functools import partial
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection, InvalidURL
from typing import IO, Any

from imgsearch import __version__
from imgsearch.sources.guarded_files import Unusable
from imgsearch.sources.public_addresses import Names

SCHEMES = ("http", "https")
MAX_BYTES = 64 << 20
TIMEOUT_SECONDS = 20.0
"""Limit for the whole fetch: name, connection, redirects and data."""
_CHUNK_BYTES = 1 << 16


def fetch(url: str, max_bytes: int = MAX_BYTES, seconds: float = TIMEOUT_SECONDS) -> bytes:
    """The content at an http or https address.

    Raises
    ------
    Unusable
        The content cannot be fetched; says why.
    """
    outcome: list[bytes | Exception] = []

    def work() -> None:
        try:
            outcome.append(_download(url, max_bytes, time.monotonic() + seconds))
        except Exception as error:  # reported to the user below
            outcome.append(error)

    # In a thread, which can be abandoned: resolving a name and slow headers have no timeout.
    thread = threading.Thread(target=work, daemon=True, name="imgsearch-fetch")
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Unusable(f"it took longer than {seconds:g} seconds")
    if isinstance(outcome[0], bytes):
        return outcome[0]
    raise _reason(outcome[0], seconds) from outcome[0]


def _download(url: str, max_bytes: int, deadline: float) -> bytes:
    address = _ascii_address(url)
    opener = _opener(urllib.parse.urlsplit(address).hostname or "")
    headers = {"User-Agent": f"imgsearch/{__version__}"}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310, checked above
    with opener.open(request, timeout=max(deadline - time.monotonic(), 0.1)) as response:
        chunks, size = [], 0
        while chunk := response.read1(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise Unusable(f"it has more than {max_bytes >> 20} MiB")
            if time.monotonic() > deadline:
                raise TimeoutError
    missing = response.length
    if missing:
        raise Unusable("the connection ended before the whole picture was received")
    return b"".join(chunks)


def _ascii_address(url: str) -> str:
    """The address in ASCII: the host in IDNA, the path percent-encoded."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise Unusable("it is not an http or https address")
    host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    quoted = (urllib.parse.quote(each, "/%:=&?~#+!$,;'@()*[]") for each in parts[2:4])
    return urllib.parse.urlunsplit((parts.scheme, host, *quoted, ""))


def _opener(typed: str) -> urllib.request.OpenerDirector:
    """An opener for HTTP and HTTPS only: no files, no FTP, no data URLs, no cookies."""
    proxies = urllib.request.getproxies()
    hosts = [urllib.parse.urlsplit(proxy).hostname or "" for proxy in proxies.values()]
    names = Names(typed, hosts)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        _Http(names),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(names),
    ):
        opener.add_handler(handler)
    return opener


class _Http(urllib.request.AbstractHTTPHandler):
    """Opens connections only to addresses that have been checked."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPSConnection), req)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _connection(self, kind: type[HTTPConnection], host: str, **values: Any) -> HTTPConnection:
        connection = kind(host, **values)
        connection._create_connection = self._names.connect  # type: ignore[attr-defined]
        return connection


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to public addresses and to the typed host."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        address = urllib.parse.urlsplit(newurl)
        if address.scheme.lower() not in SCHEMES:
            raise Unusable("the server redirects to something that is neither http nor https")
        self._names.require_public(address.hostname or "")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(error: Exception, seconds: float) -> Unusable:
    if isinstance(error, Unusable):
        return error
    if isinstance(error, urllib.error.HTTPError):
        return Unusable(f"the server answered {error.code} {error.reason}".rstrip())
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return Unusable(f"it took longer than {seconds:g} seconds")
    if isinstance(inner, ValueError | InvalidURL):
        return Unusable("the address is not valid")
    if isinstance(inner, socket.gaierror):
        why = "there is no host of that name, or no network"
    else:
        why = str(getattr(inner, "strerror", None) or inner or type(inner).__name__).lower()
    return Unusable(f"the connection failed: {why}")

"""One picture from the web, for a user who gave its address and allowed it.

Nothing is kept. The address itself may be of this machine or of the local network, because the user
typed it. A server may redirect to other public addresses only, or to the host that was typed; each
name is looked up once, so that what was checked is what is connected to (`addresses`).
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
MOST_BYTES = 64 << 20
SECONDS = 20.0
"""For all of it: the name, the connection, redirects and the bytes."""
_PIECE = 1 << 16


def fetch(url: str, most_bytes: int = MOST_BYTES, seconds: float = SECONDS) -> bytes:
    """The bytes behind an http or https address.

    Raises
    ------
    Unusable
        With the reason.
    """
    outcome: list[bytes | Exception] = []

    def work() -> None:
        try:
            outcome.append(_fetched(url, most_bytes, time.monotonic() + seconds))
        except Exception as error:  # whatever it is, the user is told below
            outcome.append(error)

    # Looking up a name, or headers that come byte by byte, know no limit of their own: a thread
    # can be left alone.
    thread = threading.Thread(target=work, daemon=True, name="imgsearch-fetch")
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Unusable(f"it took longer than {seconds:g} seconds")
    if isinstance(outcome[0], bytes):
        return outcome[0]
    raise _reason(outcome[0], seconds) from outcome[0]


def _fetched(url: str, most_bytes: int, deadline: float) -> bytes:
    address = _in_ascii(url)
    opener = _opener(urllib.parse.urlsplit(address).hostname or "")
    headers = {"User-Agent": f"imgsearch/{__version__}"}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310, checked above
    with opener.open(request, timeout=max(deadline - time.monotonic(), 0.1)) as answer:
        pieces, size = [], 0
        while piece := answer.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > most_bytes:
                raise Unusable(f"it has more than {most_bytes >> 20} MiB")
            if time.monotonic() > deadline:
                raise TimeoutError
    missing = answer.length
    if missing:
        raise Unusable("the connection ended before the picture did")
    return b"".join(pieces)


def _in_ascii(url: str) -> str:
    """The address as it is sent: other letters of the host in IDNA, of the path in per cent."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise Unusable("it is no http or https address")
    host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    quoted = (urllib.parse.quote(each, "/%:=&?~#+!$,;'@()*[]") for each in parts[2:4])
    return urllib.parse.urlunsplit((parts.scheme, host, *quoted, ""))


def _opener(typed: str) -> urllib.request.OpenerDirector:
    """Knows HTTP and HTTPS and nothing else: no files, no FTP, no data URLs, no cookies."""
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
    """Opens connections to addresses that were checked."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, HTTPSConnection), req)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _connection(self, kind: type[HTTPConnection], host: str, **values: Any) -> HTTPConnection:
        made = kind(host, **values)
        made._create_connection = self._names.connect  # type: ignore[attr-defined]
        return made


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where the user could have meant to go."""

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
        return Unusable(f"the server answers {error.code} {error.reason}".rstrip())
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

"""Connections of the server: how many a client may hold, for how long, and HTTP/1.1 without gaps.

uvicorn has no limit for one client, no time limit for a head or for a client that does not read,
and its parser accepts framings that a proxy may read in another way.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from imgsearch.web.problems import JSON_TYPE, problem_body
from imgsearch.web.proxies import Proxies, client_key

MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_CLIENT = 256
"""Connections of one address, or of one /64 network of IPv6. A browser opens six; a program may
open hundreds at once, and should not lose one whose request is on its way."""
HEAD_TIMEOUT_SECONDS = 10.0
"""Time limit for the head of a request, from the connection or the previous request."""
WRITE_TIMEOUT_SECONDS = 60.0
"""Time limit for a client that does not read its answer."""
MAX_HEAD_BYTES = 256 << 10
"""Size of the head of a request: above the guard's limit, whose refusal gives the reason."""

_HEAD_END = re.compile(rb"\n\r?\n")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FOLDED_LINE = re.compile(rb"\n[ \t]")
_LENGTH_LINE = re.compile(rb"\ncontent-length:([^\n]*)", re.IGNORECASE)


class Use(IntEnum):
    """State of a connection. The lowest is closed first to make room."""

    SILENT = 0
    """It has never sent a whole head."""
    IDLE = 1
    """It waits for its next request."""
    SENDING = 2
    """The body of its request has not arrived."""
    ANSWERING = 3
    """Its request has arrived and is being answered; such a connection is never closed for
    another."""


class Connections:
    """The open connections, bounded in total and for each client.

    A client at its bound loses its own least used connection to its new one. At the total bound,
    the client with the most connections loses one. Connections from a trusted proxy stand for many
    clients, so only the total bounds them.
    """

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._clients: defaultdict[str, dict[ClientProtocol, None]] = defaultdict(dict)
        self._count = 0

    def admit(self, connection: ClientProtocol) -> bool:
        """Count a new connection; False if there is no room for it."""
        address = connection.client[0] if connection.client else ""
        connection.key = key = client_key(address)
        bounded = not self._proxies.trusts(address)
        if bounded and len(self._clients.get(key, ())) >= MAX_CONNECTIONS_PER_CLIENT:
            if not self._make_room([self._clients[key]]):
                return False
        elif self._count >= MAX_CONNECTIONS:
            largest_first = sorted(self._clients.values(), key=len, reverse=True)
            if not self._make_room(largest_first):
                return False
        self._clients[key][connection] = None
        self._count += 1
        return True

    def remove(self, connection: ClientProtocol) -> None:
        """Stop counting a connection; one that is not counted is ignored."""
        held = self._clients.get(connection.key)
        if held is None or connection not in held:
            return
        del held[connection]
        self._count -= 1
        if not held:
            del self._clients[connection.key]

    def _make_room(self, clients: Iterable[dict[ClientProtocol, None]]) -> bool:
        for held in clients:
            least = min(held, key=lambda connection: connection.use)  # the oldest of these
            if least.use < Use.ANSWERING:
                self.remove(least)
                least.transport.abort()
                return True
        return False


class StrictConnection(h11.Connection):
    """A parser that refuses framings which others may read in another way (RFC 9112, section 11.2).

    h11 takes the chunks where a request has a length and chunks, drops a repeated length, joins
    folded lines, and accepts lines that end without a carriage return.

    Attributes
    ----------
    fault : str
        Why a request was refused, as a sentence.
    """

    def __init__(self, max_head_bytes: int) -> None:
        super().__init__(h11.SERVER, max_head_bytes)
        self.fault = ""
        self._head = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.their_state is h11.IDLE:
            self._head += data
        super().receive_data(data)

    def start_next_cycle(self) -> None:
        """Begin the next request, whose head may have arrived already."""
        super().start_next_cycle()
        self._head = bytearray(self.trailing_data[0])

    def next_event(self) -> Any:
        """The next event; raises `RemoteProtocolError` for a request that is refused."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            end = _HEAD_END.search(self._head)
            head = bytes(self._head[: end.end()] if end else self._head)
            self._head = bytearray()
            self.fault = framing_fault(head, event)
            if self.fault:
                raise h11.RemoteProtocolError(self.fault)
        return event


def framing_fault(head: bytes, request: h11.Request) -> str:
    """Why the framing of a request is ambiguous, as a sentence; "" if it is not."""
    chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    lengths = _LENGTH_LINE.findall(head)
    if chunked and lengths:
        return "It has both Content-Length and Transfer-Encoding."
    if chunked and request.http_version != b"1.1":
        return "Transfer-Encoding needs HTTP/1.1."
    if len(lengths) > 1 or any(b"," in each for each in lengths):
        return "It has several values of Content-Length."
    if _FOLDED_LINE.search(head):
        return "A header continues on the next line."
    if _BARE_LINE_FEED.search(head):
        return "A line of its head does not end with CR LF."
    return ""


class ClientProtocol(H11Protocol):
    """HTTP/1.1 with bounds on connections and on the time that a client may take."""

    conn: StrictConnection
    key = ""
    """The client, for the bound on its connections."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.conn = StrictConnection(MAX_HEAD_BYTES)
        self._admission = connections
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def use(self) -> Use:
        """The present state of the connection."""
        if self.cycle is None or self.transport.is_closing():
            return Use.SILENT
        if self.conn.their_state is h11.SEND_BODY:
            return Use.SENDING
        return Use.IDLE if self.cycle.response_complete else Use.ANSWERING

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._admission.admit(self):
            self._arm()
        else:
            hint = "Close some, or try again in a moment."
            transport.write(_plain_answer(503, "There are too many connections.", hint))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.remove(self)
        self._disarm()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._disarm()
        elif self._head_timer is None:
            self._arm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self._head_timer is None:
            self._arm(max(HEAD_TIMEOUT_SECONDS, self.timeout_keep_alive + 1.0))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def shutdown(self) -> None:
        """Begin to stop: close the connection, or do so after the answer in hand."""
        if not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not valid HTTP, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # its answer would be taken for that of another request
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            hint = self.conn.fault or "Check the client, or the proxy between."
            self.transport.write(_plain_answer(400, "The request is not valid HTTP.", hint))
        self.transport.close()

    def _arm(self, seconds: float = HEAD_TIMEOUT_SECONDS) -> None:
        self._head_timer = self.loop.call_later(seconds, self._hang_up)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _hang_up(self) -> None:
        self._head_timer = None
        self.transport.abort()


def _plain_answer(status: int, error: str, hint: str) -> bytes:
    """An answer to a client whose request is not handed to the application."""
    body = json.dumps(problem_body(status, error, hint)).encode()
    head = (
        f"HTTP/1.1 {status} \r\ncontent-type: {JSON_TYPE}\r\ncontent-length: {len(body)}\r\n"
        "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body

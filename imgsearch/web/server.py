"""uvicorn around the application, with time limits that uvicorn lacks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from imgsearch.errors import ImgSearchError
from imgsearch.settings import Settings
from imgsearch.web.application import PER_SECOND, application
from imgsearch.web.hosts import hosts_for, is_loopback
from imgsearch.web.tokens import Door, stored_hash

HEAD_TIMEOUT_SECONDS = 10.0
"""Time limit for the head of a request, from the connection or the previous request."""
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 256 << 10
"""Size of the head of a request: above the guard's limit, whose refusal gives the reason."""
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """The address of a server and its access settings.

    Attributes
    ----------
    port : int
        0 selects a free port.
    names : tuple of str
        Additional host names.
    require_token : bool
        Require the token on the loopback interface, too.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    names: tuple[str, ...] = ()
    require_token: bool = False


def door_for(settings: Settings, place: Place) -> Door:
    """The access check of a server.

    Raises
    ------
    ImgSearchError
        A token is required but none exists.
    """
    required = place.require_token or not is_loopback(place.host)
    token_hash = stored_hash(settings.library) if required else ""
    if required and not token_hash:
        raise ImgSearchError(
            f"other machines can reach a server on {place.host}, and it has no token yet"
            if not is_loopback(place.host)
            else "the server has no token yet",
            "Create one, which is shown once: add --new-token",
        )
    return Door(token_hash)


def serve(
    settings: Settings,
    place: Place,
    on_start: Callable[[str], None],
    per_second: float = PER_SECOND,
    say: Callable[[str], None] = lambda note: None,
) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    on_start : callable
        Called with the URL of the page when the server accepts requests.

    Raises
    ------
    ImgSearchError
        A token is required but none exists, or the port is in use.
    """
    door = door_for(settings, place)
    listener = _listener(place)
    names = hosts_for(place.host, place.names)
    app = application(settings, names, door, per_second, say)
    config = uvicorn.Config(
        app,
        http=TimeLimitedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # any client could forge its address
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    host = f"[{place.host}]" if ":" in place.host else place.host
    url = f"http://{host}:{listener.getsockname()[1]}/"
    _Server(config, lambda: on_start(url), app.on_stop).run([listener])


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_start, self._on_stop = on_start, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


class TimeLimitedProtocol(H11Protocol):
    """HTTP/1.1 that closes the connection if the head of a request does not arrive in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
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

    def _arm(self, seconds: float = HEAD_TIMEOUT_SECONDS) -> None:
        self._head_timer = self.loop.call_later(seconds, self._hang_up)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _hang_up(self) -> None:
        self._head_timer = None
        self.transport.abort()


def _listener(place: Place) -> socket.socket:
    try:
        addresses: list[Any] = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = addresses[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a valid address"
        raise ImgSearchError(
            f"cannot listen on {place.host}, port {place.port}: {reason.lower()}",
            "Another server may be using it. Choose another --port, or 0 for a free one.",
        ) from error
    return listener

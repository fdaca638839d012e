"""uvicorn around the application, with limits of time that it does not have by itself."""

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

HEAD_SECONDS = 10.0
"""For the head of a request to come in, from the connection or from the request before."""
MOST_CONNECTIONS = 512
MOST_HEAD = 256 << 10
"""Bytes of the head of a request: more than the guard takes, which says why it refuses."""
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    Attributes
    ----------
    port : int
        0 for any that is free.
    names : tuple of str
        Further names that it goes by.
    require_token : bool
        Ask for the token on the loopback interface, too.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    names: tuple[str, ...] = ()
    require_token: bool = False


def door_for(settings: Settings, place: Place) -> Door:
    """Who may come in.

    Raises
    ------
    ImgSearchError
        Others could reach the server, and there is no token.
    """
    wanted = place.require_token or not is_loopback(place.host)
    found = stored_hash(settings.library) if wanted else ""
    if wanted and not found:
        raise ImgSearchError(
            f"others could reach a server on {place.host}, and there is no token to keep them out"
            if not is_loopback(place.host)
            else "there is no token yet",
            "Make one, which is shown once: add --new-token",
        )
    return Door(found)


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
        Gets the address of the page once requests are answered.

    Raises
    ------
    ImgSearchError
        There is no token where one is needed, or the port is taken.
    """
    door = door_for(settings, place)
    listener = _listener(place)
    names = hosts_for(place.host, place.names)
    app = application(settings, names, door, per_second, say)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody could say that he comes from elsewhere
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=MOST_HEAD,
    )
    shown = f"[{place.host}]" if ":" in place.host else place.host
    url = f"http://{shown}:{listener.getsockname()[1]}/"
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


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on a client whose request does not come, or comes byte by byte."""

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
            self._arm(max(HEAD_SECONDS, self.timeout_keep_alive + 1.0))

    def _arm(self, seconds: float = HEAD_SECONDS) -> None:
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
        found: list[Any] = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no address"
        raise ImgSearchError(
            f"cannot listen on {place.host}, port {place.port}: {reason.lower()}",
            "Another imgsearch may be serving there; choose another --port, or 0 for any.",
        ) from error
    return listener

"""uvicorn around the application: its address, its settings and its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvicorn

from imgsearch.errors import ImgSearchError
from imgsearch.settings import Settings
from imgsearch.web.application import MAX_REQUESTS_PER_SECOND, application
from imgsearch.web.connections import ClientProtocol, Connections
from imgsearch.web.guard import DRAIN_SECONDS
from imgsearch.web.hosts import hosts_for, is_loopback
from imgsearch.web.proxies import Proxies
from imgsearch.web.tokens import Door, hash_in, stored_hash

MAX_UNACCEPTED_CONNECTIONS = 256
"""Connections that may wait to be accepted, and are accepted together. Each takes a descriptor
until there is room for it or not."""
HANG_UP_SECONDS = DRAIN_SECONDS + 0.3
"""Connections whose client does not take its answer are closed then, when the server stops."""
STOP_SECONDS = 3


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
    token_file : str
        A file with the token, which is then required; "" for the token of the library.
    proxies : Proxies
        Trusted proxies; other machines reach the server through them, so a token is required.
    origins : tuple of str
        Other origins whose pages may use the API.
    embed : bool
        Encode texts and pictures for other programs.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    names: tuple[str, ...] = ()
    require_token: bool = False
    proxies: Proxies = field(default_factory=Proxies)
    origins: tuple[str, ...] = ()
    token_file: str = ""
    embed: bool = False

    @property
    def reachable(self) -> bool:
        """True if other machines can reach the server, directly or through a proxy."""
        return not is_loopback(self.host) or bool(self.proxies.networks)


def door_for(settings: Settings, place: Place) -> Door:
    """The access check of a server.

    Raises
    ------
    ImgSearchError
        A token is required but none exists, or the file with it cannot be used.
    """
    if place.token_file:
        return Door(hash_in(place.token_file))
    required = place.require_token or place.reachable
    token_hash = stored_hash(settings.library) if required else ""
    if required and not token_hash:
        raise ImgSearchError(
            "the server has no token yet"
            if not place.reachable
            else "other machines can reach a server behind a proxy, and it has no token yet"
            if is_loopback(place.host)
            else f"other machines can reach a server on {place.host}, and it has no token yet",
            "Create one, which is shown once: add --new-token",
        )
    return Door(token_hash)


def serve(
    settings: Settings,
    place: Place,
    on_start: Callable[[str], None],
    per_second: float = MAX_REQUESTS_PER_SECOND,
    say: Callable[[str], None] = lambda note: None,
    watch: bool = False,
) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    on_start : callable
        Called with the URL of the page when the server accepts requests.
    watch : bool
        Index what changes in the folders of the library.

    Raises
    ------
    ImgSearchError
        A token is required but none exists, or the port is in use.
    """
    door = door_for(settings, place)
    listener = _listener(place)
    names = hosts_for(place.host, place.names)
    app = application(
        settings, names, door, per_second, say, place.proxies, place.origins, watch, place.embed
    )
    config = uvicorn.Config(
        app,
        http=partial(ClientProtocol, Connections(place.proxies)),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `Proxies` reads them
        backlog=MAX_UNACCEPTED_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    host = f"[{place.host}]" if ":" in place.host else place.host
    url = f"http://{host}:{listener.getsockname()[1]}{place.proxies.root_path}/"
    _Server(config, lambda: on_start(url), app.stop).run([listener])


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
        asyncio.get_running_loop().call_later(HANG_UP_SECONDS, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


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

"""What every request goes through: who asks, from where, how often, and how much comes with it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response

from imgsearch.web.hosts import SAFE, Hosts, cross_site
from imgsearch.web.rate_limits import Buckets, Rate
from imgsearch.web.tokens import COOKIE, Door

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("imgsearch.web")

API = "/api/v1/"
UPLOADS = frozenset((f"{API}search",))
MOST_UPLOADED = 80 << 20
"""Bytes of a search with pictures."""
MOST_SENT = 64 << 10
"""Bytes of any other request."""
MOST_UPLOADS = 8
"""Searches with pictures that come in at the same time: they lie on the disk meanwhile."""
MOST_PATH = 8 << 10
MOST_QUERY = 32 << 10
BODY_SECONDS = 60.0
"""For all of a request to come in."""

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def rates(per_second: float) -> dict[str, Rate]:
    """The limits of one client. Small pictures come by the screenful, tokens are tried rarely."""
    return {
        "any": Rate(5 * per_second, 20 * per_second),
        "search": Rate(per_second, 2 * per_second),
        "session": Rate(0.2, 5),
    }


def kind_of(method: str, path: str) -> str:
    """Which limit a request falls under."""
    if path == f"{API}session":
        return "session"
    costly = path.startswith((f"{API}search", f"{API}similar/", f"{API}facets"))
    return "search" if costly or method not in SAFE else "any"


class _TooMuch(Exception):
    """The request has more bytes than it may have."""


class _TooSlow(Exception):
    """The request does not come to an end."""


class Guard:
    """ASGI middleware around everything else.

    Parameters
    ----------
    on_stop : callable
        For the server, to be called in its loop before it waits for answers that go out.
    """

    def __init__(
        self,
        app: App,
        hosts: Hosts,
        door: Door,
        per_second: float,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_stop = on_stop
        self._app = app
        self._hosts = hosts
        self._door = door
        self._buckets = Buckets(rates(per_second))
        self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; everything but HTTP and the start-up is refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = _Answer(send)
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, answer.send)
            elif _large(scope):
                await self._counted(scope, receive, answer)
            else:
                await self._guarded(scope, receive, answer)

    async def _counted(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if self._uploading >= MOST_UPLOADS:
            full = refused(503, "Too many pictures are coming in.", "Try again in a moment.")
            await answer.fail(scope, receive, full)
            return
        self._uploading += 1
        try:
            await self._guarded(scope, receive, answer)
        finally:
            self._uploading -= 1

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        most = MOST_UPLOADED if scope["path"] in UPLOADS else MOST_SENT
        answer.body = _Body(receive, most, time.monotonic() + BODY_SECONDS)
        try:
            await self._app(scope, answer.body.receive, answer.send)
        except _TooMuch:
            await answer.fail(scope, receive, too_much(most))
        except _TooSlow:
            await answer.fail(scope, receive, refused(408, "The request took too long to arrive."))
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not answer.finished:
                await answer.fail(scope, receive, broken())

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        if len(scope.get("query_string", b"")) > MOST_QUERY or len(path) > MOST_PATH:
            return refused(414, "The address is too long.", "Say it in fewer words.")
        if len(headers.getlist("host")) != 1 or not self._hosts.knows(headers["host"]):
            hint = "Use the address that the server printed, or start it with --allow-host NAME."
            return refused(403, "This server does not go by that name.", hint)
        if (path.startswith(API) or method not in SAFE) and cross_site(method, headers):
            return refused(403, "A page of another site may not ask this.", "Open the page itself.")
        client = (scope.get("client") or ("",))[0]
        wait = self._buckets.wait_s(client, kind_of(method, path))
        if wait:
            answer = refused(429, "Too many requests.", "Try again in a moment.")
            answer.headers["retry-after"] = str(math.ceil(wait))
            return answer
        if _length(headers) > (MOST_UPLOADED if path in UPLOADS else MOST_SENT):
            return too_much(MOST_UPLOADED if path in UPLOADS else MOST_SENT)
        return None if self._may(path, headers) else unknown()

    def _may(self, path: str, headers: Headers) -> bool:
        """The page itself holds nothing of the library, and has to ask for the token."""
        if not self._door.locked or not path.startswith(API):
            return True
        if path in (f"{API}session", f"{API}health"):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._door.fits(token.strip()):
            return True
        return self._door.knows(session_of(headers))


class _Answer:
    """The way of an answer out: with our headers, and not begun twice."""

    body: _Body | None = None

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False
        self.finished = False

    async def send(self, message: Message) -> None:
        if self.body is not None and self.body.fault is not None and not self._begun:
            raise self.body.fault  # whatever the application made of it
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await self._send(message)
        if message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)

    async def fail(self, scope: Scope, receive: Receive, answer: Response) -> None:
        if self._begun:
            raise ConnectionAbortedError("the answer cannot be finished")
        self.body = None
        answer.headers["connection"] = "close"
        await answer(scope, receive, self.send)


class _Body:
    """What a request brings, given up on where it is too long or too slow."""

    def __init__(self, receive: Receive, most: int, deadline: float) -> None:
        self._receive = receive
        self._most, self._taken = most, 0
        self._deadline = deadline
        self._complete = False
        self.fault: Exception | None = None

    async def receive(self) -> Message:
        if self._complete:  # what comes now is only the news that the client has gone
            return await self._receive()
        left = max(0.0, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            self.fault = _TooSlow()
            raise self.fault from None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._taken > self._most:
                self.fault = _TooMuch()
                raise self.fault
        return message


def session_of(headers: Headers) -> str:
    """The secret in the cookie of a request; "" if there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _large(scope: Scope) -> bool:
    """True for a request with more than words in it, or one that does not tell how much it has."""
    headers = Headers(scope=scope)
    untold = scope["method"] not in SAFE and "content-length" not in headers
    return scope["path"] in UPLOADS and (untold or _length(headers) > MOST_SENT)


def _length(headers: Headers) -> int:
    stated = headers.get("content-length", "0")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 19 else 0


def refused(status: int, error: str, hint: str = "") -> Response:
    """An answer that says no."""
    return JSONResponse({"error": error, "hint": hint}, status)


def broken() -> Response:
    """The answer where the fault is ours; what it was is for the log."""
    return refused(500, "Something went wrong here.", "The server's log tells more.")


def too_much(most: int) -> Response:
    """The answer to a request with too many bytes."""
    size = f"{most >> 20} MiB" if most >> 20 else f"{most >> 10} KiB"
    return refused(413, f"The request has more than {size}.", "Send less, or a smaller picture.")


def unknown() -> Response:
    """The answer to somebody without the token."""
    hint = "'imgsearch serve --new-token' prints one; send it as 'Authorization: Bearer TOKEN'."
    answer = refused(401, "This server wants its token.", hint)
    answer.headers["www-authenticate"] = "Bearer"
    return answer

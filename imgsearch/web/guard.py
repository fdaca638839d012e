"""Checks of every request: host, origin, rate, token and size."""

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
MAX_UPLOAD_BYTES = 80 << 20
"""Size of a search with pictures."""
MAX_BODY_BYTES = 64 << 10
"""Size of any other request."""
MAX_UPLOADS = 8
"""Searches with pictures received at the same time; their pictures are on disk meanwhile."""
MAX_PATH_LENGTH = 8 << 10
MAX_QUERY_BYTES = 32 << 10
BODY_TIMEOUT_SECONDS = 60.0
"""Time limit for receiving a complete request."""

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
    """The limits for one client. Thumbnails are requested by the screenful, tokens tried rarely."""
    return {
        "any": Rate(5 * per_second, 20 * per_second),
        "search": Rate(per_second, 2 * per_second),
        "session": Rate(0.2, 5),
    }


def kind_of(method: str, path: str) -> str:
    """The kind of limit that applies to a request."""
    if path == f"{API}session":
        return "session"
    costly = path.startswith((f"{API}search", f"{API}similar/", f"{API}facets"))
    return "search" if costly or method not in SAFE else "any"


class _TooLarge(Exception):
    """The request exceeds its size limit."""


class _TooSlow(Exception):
    """The request did not arrive within its time limit."""


class Guard:
    """ASGI middleware around the whole application.

    Parameters
    ----------
    on_stop : callable
        Called by the server in its event loop before it waits for the remaining answers.
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
        """Handle a request; refuse everything except HTTP and lifespan events."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = _Answer(send)
            denial = self._refusal(scope)
            if denial is not None:
                await denial(scope, receive, answer.send)
            elif _is_upload(scope):
                await self._handle_upload(scope, receive, answer)
            else:
                await self._handle(scope, receive, answer)

    async def _handle_upload(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if self._uploading >= MAX_UPLOADS:
            busy = refusal(503, "Too many uploads at the same time.", "Try again in a moment.")
            await answer.fail(scope, receive, busy)
            return
        self._uploading += 1
        try:
            await self._handle(scope, receive, answer)
        finally:
            self._uploading -= 1

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        limit = MAX_UPLOAD_BYTES if scope["path"] in UPLOADS else MAX_BODY_BYTES
        answer.body = _Body(receive, limit, time.monotonic() + BODY_TIMEOUT_SECONDS)
        try:
            await self._app(scope, answer.body.receive, answer.send)
        except _TooLarge:
            await answer.fail(scope, receive, too_large(limit))
        except _TooSlow:
            await answer.fail(scope, receive, refusal(408, "The request took too long to arrive."))
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not answer.finished:
                await answer.fail(scope, receive, internal_error())

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        if len(scope.get("query_string", b"")) > MAX_QUERY_BYTES or len(path) > MAX_PATH_LENGTH:
            return refusal(414, "The URL is too long.", "Use a shorter query.")
        if len(headers.getlist("host")) != 1 or not self._hosts.knows(headers["host"]):
            hint = "Use the URL that the server printed, or start it with --allow-host NAME."
            return refusal(403, "The host name of the request is not allowed.", hint)
        if (path.startswith(API) or method not in SAFE) and cross_site(method, headers):
            hint = "Open the page of this server instead."
            return refusal(403, "Requests from other sites are not allowed.", hint)
        client = (scope.get("client") or ("",))[0]
        wait = self._buckets.wait_s(client, kind_of(method, path))
        if wait:
            answer = refusal(429, "Too many requests.", "Try again in a moment.")
            answer.headers["retry-after"] = str(math.ceil(wait))
            return answer
        if _length(headers) > (MAX_UPLOAD_BYTES if path in UPLOADS else MAX_BODY_BYTES):
            return too_large(MAX_UPLOAD_BYTES if path in UPLOADS else MAX_BODY_BYTES)
        return None if self._is_authorized(path, headers) else unauthorized()

    def _is_authorized(self, path: str, headers: Headers) -> bool:
        """The page itself needs no token: it contains no library data and asks for the token."""
        if not self._door.locked or not path.startswith(API):
            return True
        if path in (f"{API}session", f"{API}health"):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._door.fits(token.strip()):
            return True
        return self._door.knows(session_of(headers))


class _Answer:
    """Sends an answer with the security headers, and does not start it twice."""

    body: _Body | None = None

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self.finished = False

    async def send(self, message: Message) -> None:
        if self.body is not None and self.body.fault is not None and not self._started:
            raise self.body.fault  # even if the application turned it into an answer
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await self._send(message)
        if message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)

    async def fail(self, scope: Scope, receive: Receive, answer: Response) -> None:
        if self._started:
            raise ConnectionAbortedError("the answer cannot be finished")
        self.body = None
        answer.headers["connection"] = "close"
        await answer(scope, receive, self.send)


class _Body:
    """The body of a request, with limits on size and time."""

    def __init__(self, receive: Receive, max_bytes: int, deadline: float) -> None:
        self._receive = receive
        self._max_bytes, self._size = max_bytes, 0
        self._deadline = deadline
        self._complete = False
        self.fault: Exception | None = None

    async def receive(self) -> Message:
        if self._complete:  # only a disconnect can follow
            return await self._receive()
        left = max(0.0, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            self.fault = _TooSlow()
            raise self.fault from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._size > self._max_bytes:
                self.fault = _TooLarge()
                raise self.fault
        return message


def session_of(headers: Headers) -> str:
    """The secret in the session cookie of a request; "" if there is none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


def _is_upload(scope: Scope) -> bool:
    """True for a search with pictures, or one of unknown length."""
    headers = Headers(scope=scope)
    unknown = scope["method"] not in SAFE and "content-length" not in headers
    return scope["path"] in UPLOADS and (unknown or _length(headers) > MAX_BODY_BYTES)


def _length(headers: Headers) -> int:
    value = headers.get("content-length", "0")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0


def refusal(status: int, error: str, hint: str = "") -> Response:
    """An error answer."""
    return JSONResponse({"error": error, "hint": hint}, status)


def internal_error() -> Response:
    """The answer to an unexpected error; only the log has its details."""
    return refusal(500, "Internal server error.", "See the log of the server.")


def too_large(max_bytes: int) -> Response:
    """The answer to a request that exceeds its size limit."""
    size = f"{max_bytes >> 20} MiB" if max_bytes >> 20 else f"{max_bytes >> 10} KiB"
    return refusal(413, f"The request is larger than {size}.", "Send fewer or smaller pictures.")


def unauthorized() -> Response:
    """The answer to a request without the token."""
    hint = "'imgsearch serve --new-token' prints one; send it as 'Authorization: Bearer TOKEN'."
    answer = refusal(401, "This server requires a token.", hint)
    answer.headers["www-authenticate"] = "Bearer"
    return answer

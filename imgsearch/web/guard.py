"""Checks of every request: host, origin, rate, token and size."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response

from imgsearch.web.hosts import SAFE_METHODS, Hosts, cross_site
from imgsearch.web.problems import internal_error, problem
from imgsearch.web.proxies import Proxies, client_of, route_path
from imgsearch.web.rate_limits import Buckets, Rate
from imgsearch.web.tokens import COOKIE, Door

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("imgsearch.web")

API = "/api/v1/"
PREDICT_PATH = "/predict"
EMBED_PATHS = (f"{API}embed", "/v1/embeddings")
PRIVATE_PATHS = (API, "/v1/", PREDICT_PATH)
"""Beginnings of the paths that need the token, if the server has one."""
COSTLY_PATHS = tuple(
    API + each
    for each in (
        "search",
        "similar/",
        "facets",
        "start",
        "clusters",
        "dupes",
        "timeline",
        "map",
        "places",
        "zip",
        "random",
        "thumbs",
        "vectors",
    )
)
"""Beginnings of the paths whose requests count as searches."""
BATCH_PATHS = frozenset((f"{API}search/batch", *EMBED_PATHS))
"""Paths whose requests do the work of up to `BATCH_SEARCHES` searches."""
BATCH_SEARCHES = 16
MAX_UPLOAD_BYTES = 80 << 20
"""Size of a search with pictures."""
MAX_EMBED_BYTES = 32 << 20
"""Size of texts and pictures to encode, which are in memory several times while they are read."""
MAX_BATCH_BYTES = 1 << 20
"""Size of several searches, which may be by vectors."""
UPLOAD_BYTES = {
    f"{API}search": MAX_UPLOAD_BYTES,
    f"{API}search/batch": MAX_BATCH_BYTES,
    PREDICT_PATH: MAX_UPLOAD_BYTES,
    **dict.fromkeys(EMBED_PATHS, MAX_EMBED_BYTES),
}
"""Paths of requests that may be larger than `MAX_BODY_BYTES`, and their limits."""
MAX_BODY_BYTES = 64 << 10
"""Size of any other request."""
MAX_UPLOADS = 8
"""Searches with pictures received at the same time; their pictures are on disk meanwhile."""
MAX_PATH_CHARACTERS = 8 << 10
MAX_QUERY_BYTES = 32 << 10
MAX_REQUESTS_PER_CLIENT = 128
"""Requests of one client answered at the same time; the bound on its connections does not hold
behind a proxy."""
BODY_TIMEOUT_SECONDS = 60.0
"""Time limit for receiving a complete request."""
DRAIN_SECONDS = 2.0
"""Time for the remaining answers when the server stops."""
CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
CORS_HEADERS = ("authorization", "content-type", "if-match", "if-none-match", "if-range", "range")
CORS_EXPOSED = ("content-disposition", "content-range", "etag", "retry-after")

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
        "search": Rate(per_second, max(1.0, 2 * per_second)),
        "batch": Rate(per_second / BATCH_SEARCHES, max(1.0, 2 * per_second / BATCH_SEARCHES)),
        "session": Rate(0.2, 5),
    }


def kind_of(method: str, path: str) -> str:
    """The kind of limit that applies to a request."""
    if path == f"{API}session":
        return "session"
    if path in BATCH_PATHS:
        return "batch"
    costly = path.startswith(COSTLY_PATHS)
    return "search" if costly or method not in SAFE_METHODS else "any"


class _TooLarge(Exception):
    """The request exceeds its size limit."""


class _TooSlow(Exception):
    """The request did not arrive within its time limit."""


class Guard:
    """ASGI middleware around the whole application.

    Parameters
    ----------
    on_stop : callable
        Called in the event loop when the server stops, before it waits for the remaining answers.
    proxies : Proxies
        Proxies that are trusted to report the client.
    origins : sequence of str
        Other origins whose pages may use the API with the token (CORS).
    """

    def __init__(
        self,
        app: App,
        hosts: Hosts,
        door: Door,
        per_second: float,
        on_stop: Callable[[], None] = lambda: None,
        proxies: Proxies | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        self._on_stop = on_stop
        self._app = app
        self._hosts = hosts
        self._door = door
        self._proxies = proxies or Proxies()
        self._origins = frozenset(origins)
        self._buckets = Buckets(rates(per_second))
        self._active: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._uploading = 0
        self._checked: App = self._check
        if origins:  # outside the checks: a preflight has no token, and refusals are readable
            self._checked = CORSMiddleware(
                self._check,
                allow_origins=origins,
                allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS,
                expose_headers=CORS_EXPOSED,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; refuse everything except HTTP and lifespan events."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._checked(self._proxies.resolved(scope), receive, send)

    def stop(self) -> None:
        """Refuse new requests, and after `DRAIN_SECONDS` those that are not answered by then."""
        self._stopping = True
        self._on_stop()
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _check(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        denial = self._refusal(scope)
        if denial is not None:
            await denial(scope, receive, answer.send)
            return
        task, client = asyncio.current_task(), client_of(scope)
        assert task is not None
        self._tasks.add(task)
        self._active[client] += 1
        try:
            await self._admitted(scope, receive, answer)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            await answer.fail(scope, receive, stopping())
        finally:
            self._tasks.discard(task)
            self._active[client] -= 1
            if not self._active[client]:
                del self._active[client]

    async def _admitted(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not _is_upload(scope):
            await self._handle(scope, receive, answer)
            return
        if self._uploading >= MAX_UPLOADS:
            busy = problem(503, "Too many uploads at the same time.", "Try again in a moment.")
            await answer.fail(scope, receive, busy)
            return
        self._uploading += 1
        try:
            await self._handle(scope, receive, answer)
        finally:
            self._uploading -= 1

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        limit = _max_bytes(route_path(scope))
        answer.body = _Body(receive, limit, time.monotonic() + BODY_TIMEOUT_SECONDS)
        try:
            await self._app(scope, answer.body.receive, answer.send)
        except _TooLarge:
            await answer.fail(scope, receive, too_large(limit))
        except _TooSlow:
            await answer.fail(scope, receive, problem(408, "The request took too long to arrive."))
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not answer.finished:
                await answer.fail(scope, receive, internal_error())

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        method, path = scope["method"], route_path(scope)
        if self._stopping:
            return stopping()
        refused = self._foreign(method, path, headers) or self._excessive(scope, path, headers)
        if refused is None and not self._is_authorized(path, headers):
            return unauthorized()
        if refused is None and not path:  # links of the page need the slash
            return RedirectResponse(f"{scope['root_path']}/", 308)
        return refused

    def _foreign(self, method: str, path: str, headers: Headers) -> Response | None:
        """The refusal of a request that is not for this server, or of another site's page."""
        if len(headers.getlist("host")) != 1 or not self._hosts.knows(headers["host"]):
            hint = "Use the URL that the server printed, or start it with --allow-host NAME."
            return problem(403, "The host name of the request is not allowed.", hint)
        private = path.startswith(PRIVATE_PATHS) or method not in SAFE_METHODS
        if private and self._is_cross_site(method, headers):
            hint = "Open the page of this server instead."
            return problem(403, "Requests from other sites are not allowed.", hint)
        return None

    def _excessive(self, scope: Scope, path: str, headers: Headers) -> Response | None:
        """The refusal of a request that exceeds a bound."""
        if len(scope.get("query_string", b"")) > MAX_QUERY_BYTES or len(path) > MAX_PATH_CHARACTERS:
            return problem(414, "The URL is too long.", "Use a shorter query.")
        wait = self._buckets.wait_s(client_of(scope), kind_of(scope["method"], path))
        if wait or self._active[client_of(scope)] >= MAX_REQUESTS_PER_CLIENT:
            answer = problem(429, "Too many requests.", "Try again in a moment.")
            answer.headers["retry-after"] = str(math.ceil(wait) or 1)
            return answer
        return too_large(_max_bytes(path)) if _length(headers) > _max_bytes(path) else None

    def _is_cross_site(self, method: str, headers: Headers) -> bool:
        """True for a request of another site's page, unless that site may use the API."""
        return headers.get("origin") not in self._origins and cross_site(method, headers)

    def _is_authorized(self, path: str, headers: Headers) -> bool:
        """The page itself needs no token: it contains no library data and asks for the token."""
        if not self._door.locked or not path.startswith(PRIVATE_PATHS):
            return True
        if path in (f"{API}session", f"{API}health"):
            return True
        if self._door.fits(token_of(headers.get("authorization", ""))):
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
            return  # it cannot be finished, so uvicorn closes the connection
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


def token_of(authorization: str) -> str:
    """The token in an Authorization header: of Bearer, or the password of Basic, which photo frames
    and cameras of Home Assistant send; "" if there is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def session_of(headers: Headers) -> str:
    """The secret in the session cookie of a request; "" if there is none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


def _is_upload(scope: Scope) -> bool:
    """True for a request with pictures, or one of unknown length that may have some."""
    headers = Headers(scope=scope)
    unknown = scope["method"] not in SAFE_METHODS and "content-length" not in headers
    return route_path(scope) in UPLOAD_BYTES and (unknown or _length(headers) > MAX_BODY_BYTES)


def _max_bytes(path: str) -> int:
    return UPLOAD_BYTES.get(path, MAX_BODY_BYTES)


def _length(headers: Headers) -> int:
    value = headers.get("content-length", "0")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0


def too_large(max_bytes: int) -> Response:
    """The answer to a request that exceeds its size limit."""
    size = f"{max_bytes >> 20} MiB" if max_bytes >> 20 else f"{max_bytes >> 10} KiB"
    return problem(413, f"The request is larger than {size}.", "Send fewer or smaller pictures.")


def stopping() -> Response:
    """The answer to a request that the stopping server does not finish."""
    answer = problem(503, "The server is stopping.", "Try again when it is running.")
    answer.headers["connection"] = "close"
    return answer


def unauthorized() -> Response:
    """The answer to a request without the token."""
    hint = "'imgsearch serve --new-token' prints one; send it as 'Authorization: Bearer TOKEN'."
    answer = problem(401, "This server requires a token.", hint)
    answer.headers["www-authenticate"] = "Bearer"
    return answer

"""The files of the page, which are part of the package.

The page names them by the version of all of them, so that a browser may keep each for good, and an
update of the package is seen at once.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from functools import lru_cache

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")
TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
}
BESIDE_THE_PAGE = ("manifest.webmanifest", "offline.html", "worker.js")
"""Files at the path of the page, because that is the scope of a worker and of an installed page."""
IMMUTABLE_CACHE_CONTROL = "private, max-age=31536000, immutable"
PACKED = ("html", "js", "css", "json", "webmanifest", "svg", "txt", "md")
"""Extensions of the files that are sent compressed."""
_VERSIONED = re.compile(r"~([0-9a-f]{16})/")
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+\s*)?(?:,|$)")
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def routes() -> APIRouter:
    """The page at / and its files under /static/."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        return answer(request, "index.html")

    @router.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return answer(request, "favicon.svg")

    @router.get("/{name}")
    async def beside_the_page(request: Request, name: str) -> Response:
        if name not in BESIDE_THE_PAGE:
            raise HTTPException(404, "file not found")
        return answer(request, name)

    @router.get("/static/{path:path}")
    async def file(request: Request, path: str) -> Response:
        return answer(request, path)

    return router


def answer(request: Request, path: str) -> Response:
    """A file below the folder. No part of the path may start with a dot."""
    named = _VERSIONED.match(path)
    current = version()
    path = path[named.end() :] if named else path
    parts = path.split("/")
    kind = TYPES.get(path.rpartition(".")[2].lower())
    if kind is None or not all(map(_PART.fullmatch, parts)):
        raise HTTPException(404, "file not found")
    try:
        with open(os.path.join(FOLDER, *parts), "rb") as file:
            data = file.read()
    except OSError:
        raise HTTPException(404, "file not found") from None
    if path in ("index.html", *BESIDE_THE_PAGE):
        data = data.replace(b'"static/', f'"static/~{current}/'.encode())
    keeps = named is not None and named[1] == current
    packed = path.endswith(PACKED) and _GZIP.search(request.headers.get("accept-encoding", ""))
    tag = f'"{hashlib.sha256(data).hexdigest()[:24]}{"-gzip" if packed else ""}"'
    headers = {
        "etag": tag,
        "cache-control": IMMUTABLE_CACHE_CONTROL if keeps else "no-cache",
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if packed:
        data = _packed(data)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=kind, headers=headers)


def version() -> str:
    """16 hex digits for the files as they are now."""
    states = []
    for folder, _, names in os.walk(FOLDER):
        for name in names:
            status = os.stat(os.path.join(folder, name))
            states.append((os.path.join(folder, name), status.st_mtime_ns, status.st_size))
    return hashlib.sha256(repr(sorted(states)).encode()).hexdigest()[:16]


@lru_cache(maxsize=256)
def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)

"""The files of the page, which are part of the package."""

from __future__ import annotations

import hashlib
import os
import re

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

    @router.get("/static/{path:path}")
    async def file(request: Request, path: str) -> Response:
        return answer(request, path)

    return router


def answer(request: Request, path: str) -> Response:
    """A file below the folder. No part of the path may start with a dot."""
    parts = path.split("/")
    kind = TYPES.get(path.rpartition(".")[2].lower())
    if kind is None or not all(map(_PART.fullmatch, parts)):
        raise HTTPException(404, "file not found")
    try:
        with open(os.path.join(FOLDER, *parts), "rb") as file:
            data = file.read()
    except OSError:
        raise HTTPException(404, "file not found") from None
    tag = f'"{hashlib.sha256(data).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)

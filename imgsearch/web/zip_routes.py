"""The route that sends several pictures as one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from imgsearch.serving.gallery import Gallery, Located
from imgsearch.serving.picture_zip import picture_zip
from imgsearch.web.image_routes import INERT_POLICY, ids_query
from imgsearch.web.parameters import Id
from imgsearch.web.problems import PROBLEMS, problem

MAX_ZIP_PICTURES = 500
MAX_ZIP_BYTES = 16 << 30
MAX_ZIPS = 4
"""Downloads of several pictures at the same time."""
ZipIds = Annotated[list[Id], ids_query(MAX_ZIP_PICTURES)]
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The files.",
    }
}


class Downloads:
    """Counts the downloads that are being sent."""

    def __init__(self) -> None:
        self.number = 0


class ZipResponse(StreamingResponse):
    """A ZIP file, made while it is sent."""

    def __init__(self, images: Sequence[Located], downloads: Downloads) -> None:
        headers = {
            "content-disposition": 'attachment; filename="pictures.zip"',
            "content-security-policy": INERT_POLICY,
        }
        super().__init__(_pieces(images), headers=headers, media_type="application/zip")
        self._downloads = downloads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or refuse if there are `MAX_ZIPS`: counted and compared with nothing
        awaited in between, so that a burst cannot pass the bound."""
        if self._downloads.number >= MAX_ZIPS:
            busy = problem(503, "too many downloads at the same time", "Try again in a moment.")
            await busy(scope, receive, send)
            return
        self._downloads.number += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._downloads.number -= 1


async def _pieces(images: Sequence[Located]) -> AsyncIterator[bytes]:
    pieces = picture_zip(images)
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        with suppress(ValueError):  # a thread is in it still; it ends with the last reference
            pieces.close()


def routes(gallery: Gallery) -> APIRouter:
    """The route over a library."""
    router = APIRouter(tags=["pictures"], responses=PROBLEMS)
    downloads = Downloads()

    @router.get("/zip", response_class=Response, responses=_ZIP)
    async def get_zip(ids: ZipIds) -> Response:
        """The files of pictures as one ZIP file. Those that cannot be read are named in a text file
        at its end."""
        images = await asyncio.wrap_future(gallery.locate_all(list(dict.fromkeys(ids))))
        size = sum(each.record.file.size for each in images)
        if not images:
            return problem(404, "none of these pictures is in the library", "Search again.")
        if size > MAX_ZIP_BYTES:
            message = f"these pictures have {size >> 20} MiB; the limit is {MAX_ZIP_BYTES >> 20}"
            return problem(413, message, "Choose fewer.")
        return ZipResponse(images, downloads)

    return router
